/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers to `struct packet`. Reads by bpf_skb_load_bytes, which also reaches what is not in the linear part; a short
 * packet makes it fail, and every failure is DROP_MALFORMED. Returns 0 or a negative drop reason.
 */
#define L3 ETH_HLEN			/* all links that we hang on are Ethernet */
#define MAX_EXTENSION_HEADERS 6
#define ICMP6_ROUTER_ADVERTISEMENT 134

#ifndef ETH_P_ARP
#define ETH_P_ARP 0x0806
#endif

struct tcp_wire {
	__be16 sport;
	__be16 dport;
	__be32 seq;
	__be32 ack;
	u8 offset;
	u8 flags;
	__be16 window;
	__sum16 check;
	__be16 urgent;
};

struct ports_wire {
	__be16 sport;
	__be16 dport;
	__be16 length;
	__be16 check;
};

struct icmp_wire {
	u8 type;
	u8 code;
	__sum16 check;
	__be16 id;
	__be16 seq;
};

/* RFC 9293: a segment without SYN and RST carries ACK; SYN, FIN and RST exclude each other (scans break these rules). */
static __always_inline bool tcp_flags_valid(u8 flags)
{
	u8 control = flags & (TCP_SYN | TCP_FIN | TCP_RST);

	if (control == (TCP_SYN | TCP_FIN) || control == (TCP_SYN | TCP_RST) || control == (TCP_FIN | TCP_RST) ||
	    control == (TCP_SYN | TCP_FIN | TCP_RST))
		return false;
	return (flags & TCP_ACK) || control == TCP_SYN || control == TCP_RST;
}

static __always_inline int parse_tcp(struct __sk_buff *skb, struct packet *p)
{
	struct tcp_wire tcp;
	u32 header;

	if (p->l4_len < sizeof(tcp))
		return p->fragment ? -DROP_FRAGMENT_TINY : -DROP_MALFORMED;
	if (bpf_skb_load_bytes(skb, p->l4, &tcp, sizeof(tcp)) < 0)
		return -DROP_MALFORMED;
	header = (tcp.offset >> 4) * 4;
	if (header < sizeof(tcp))
		return -DROP_MALFORMED;
	if (header > p->l4_len)
		return p->fragment ? -DROP_FRAGMENT_TINY : -DROP_MALFORMED;
	if (!tcp_flags_valid(tcp.flags))
		return -DROP_MALFORMED;
	p->tcp_flags = tcp.flags;
	p->seq = bpf_ntohl(tcp.seq);
	p->ack = bpf_ntohl(tcp.ack);
	p->l4_len -= header;		/* from here on: the payload, which a reset must count */
	p->key.sport = tcp.sport;
	p->key.dport = tcp.dport;
	return 0;
}

/* The packet that an ICMP error speaks of, travelling the other way: `key` becomes its tuple. */
static __always_inline int parse_inner(struct __sk_buff *skb, struct packet *p)
{
	u32 at = p->l4 + sizeof(struct icmp_wire);
	struct ports_wire l4;
	u8 protocol;

	copy_addr(p->outer_saddr, p->key.saddr);
	copy_addr(p->outer_daddr, p->key.daddr);
	p->key.direction = !p->key.direction;
	if (p->is_v4) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) < 0)
			return -DROP_MALFORMED;
		if (ip.version != 4 || ip.ihl < 5 || (ip.frag_off & bpf_htons(0x1fff)))
			return -DROP_MALFORMED;
		mapped_addr(p->key.saddr, ip.saddr);
		mapped_addr(p->key.daddr, ip.daddr);
		protocol = ip.protocol;
		at += ip.ihl * 4;
	} else {
		struct ipv6hdr ip6;

		if (bpf_skb_load_bytes(skb, at, &ip6, sizeof(ip6)) < 0)
			return -DROP_MALFORMED;
		copy_addr(p->key.saddr, &ip6.saddr);
		copy_addr(p->key.daddr, &ip6.daddr);
		protocol = ip6.nexthdr;
		at += sizeof(ip6);
	}
	/* An error goes to the sender of what it quotes. Else a quoted flow would be a way to any other destination. */
	if (!same_addr(p->key.saddr, p->outer_daddr))
		return -DROP_MALFORMED;
	if (bpf_skb_load_bytes(skb, at, &l4, sizeof(l4)) < 0)
		return -DROP_MALFORMED;
	p->key.protocol = protocol;
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
		/* type, code, checksum, identifier: an echo request has its identifier as source port */
		u8 type = l4.sport & 0xff;
		bool answer = protocol == IPPROTO_ICMP ? type == 0 : type == 129;

		p->key.sport = answer ? 0 : l4.length;
		p->key.dport = answer ? l4.length : 0;
		return 0;
	}
	p->key.sport = l4.sport;
	p->key.dport = l4.dport;
	return 0;
}

static __always_inline int parse_icmp4(struct __sk_buff *skb, struct packet *p)
{
	struct icmp_wire icmp;

	if (bpf_skb_load_bytes(skb, p->l4, &icmp, sizeof(icmp)) < 0)
		return -DROP_MALFORMED;
	p->icmp_type = icmp.type;
	switch (icmp.type) {
	case 8:				/* echo request */
		p->key.sport = icmp.id;
		return 0;
	case 0:				/* echo reply */
		p->key.dport = icmp.id;
		p->kind = KIND_ANSWER;
		return 0;
	case 3:				/* unreachable, time exceeded, parameter problem */
	case 11:
	case 12:
		p->kind = KIND_ERROR;
		return parse_inner(skb, p);
	case 4:				/* source quench and redirect: nobody may steer our routes */
	case 5:
		return -DROP_MALFORMED;
	}
	return 0;
}

static __always_inline int parse_icmp6(struct __sk_buff *skb, struct packet *p, u8 hop_limit)
{
	struct icmp_wire icmp;

	if (bpf_skb_load_bytes(skb, p->l4, &icmp, sizeof(icmp)) < 0)
		return -DROP_MALFORMED;
	p->icmp_type = icmp.type;
	switch (icmp.type) {
	case 128:
		p->key.sport = icmp.id;
		return 0;
	case 129:
		p->key.dport = icmp.id;
		p->kind = KIND_ANSWER;
		return 0;
	case 1:
	case 2:
	case 3:
	case 4:
		p->kind = KIND_ERROR;
		return parse_inner(skb, p);
	case 133:			/* RFC 4861 section 6.1, 7.1: hop limit 255 proves that it was not forwarded */
	case ICMP6_ROUTER_ADVERTISEMENT:
	case 135:
	case 136:
		if (hop_limit != 255)
			return -DROP_MALFORMED;
		p->kind = KIND_LINK;
		return 0;
	case 137:			/* redirect: as ICMPv4's */
		return -DROP_MALFORMED;
	case 130:			/* MLD: to multicast groups of the link alone */
	case 131:
	case 132:
	case 143:
		if (hop_limit != 1 || !is_multicast(p->key.daddr))
			return -DROP_MALFORMED;
		p->kind = KIND_LINK;
		return 0;
	}
	return 0;
}

static __always_inline int parse_l4(struct __sk_buff *skb, struct packet *p, u8 hop_limit)
{
	struct ports_wire l4;

	if (p->fragment == FRAGMENT_LATER)
		return 0;
	switch (p->key.protocol) {
	case IPPROTO_TCP:
		return parse_tcp(skb, p);
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		if (p->l4_len < sizeof(l4))
			return p->fragment ? -DROP_FRAGMENT_TINY : -DROP_MALFORMED;
		if (bpf_skb_load_bytes(skb, p->l4, &l4, sizeof(l4)) < 0)
			return -DROP_MALFORMED;
		p->key.sport = l4.sport;
		p->key.dport = l4.dport;
		return 0;
	case IPPROTO_ICMP:
		if (!p->is_v4)
			return -DROP_MALFORMED;
		return parse_icmp4(skb, p);
	case IPPROTO_ICMPV6:
		if (p->is_v4)
			return -DROP_MALFORMED;
		return parse_icmp6(skb, p, hop_limit);
	}
	return 0;
}

static __always_inline int parse_ipv4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;
	u32 header, total;

	if (bpf_skb_load_bytes(skb, L3, &ip, sizeof(ip)) < 0)
		return -DROP_MALFORMED;
	header = ip.ihl * 4;
	total = bpf_ntohs(ip.tot_len);
	p->ip_len = total;
	if (!total && skb->gso_segs > 1)	/* more than 64 KiB in one piece (BIG TCP) */
		total = skb->len - L3;
	if (ip.version != 4 || header < sizeof(ip) || total < header || total > skb->len - L3)
		return -DROP_MALFORMED;
	p->is_v4 = 1;
	p->plain = header == sizeof(ip);
	p->tos = ip.tos;
	p->hops = ip.ttl;
	p->ip_check = ip.check;
	p->l4 = L3 + header;
	p->l4_len = total - header;
	p->key.protocol = ip.protocol;
	mapped_addr(p->key.saddr, ip.saddr);
	mapped_addr(p->key.daddr, ip.daddr);
	if (ip.frag_off & bpf_htons(0x3fff)) {
		u16 offset = bpf_ntohs(ip.frag_off) & 0x1fff;

		p->fragment = offset ? FRAGMENT_LATER : FRAGMENT_FIRST;
		p->frag_id = ip.id;
		p->plain = 0;
		if (offset == 1 && ip.protocol == IPPROTO_TCP)	/* RFC 3128: would overwrite the flags */
			return -DROP_FRAGMENT_TINY;
	}
	return parse_l4(skb, p, ip.ttl);
}

static __always_inline int parse_ipv6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6hdr ip6;
	u32 at = L3 + sizeof(ip6), total;
	u8 next;
	int i;

	if (bpf_skb_load_bytes(skb, L3, &ip6, sizeof(ip6)) < 0)
		return -DROP_MALFORMED;
	total = bpf_ntohs(ip6.payload_len);
	p->ip_len = total;
	if (!total && skb->gso_segs > 1)
		total = skb->len - at;
	if (ip6.version != 6 || total > skb->len - at)
		return -DROP_MALFORMED;
	/* RFC 4291 section 2.5.5.2: mapped addresses stand for IPv4 in software, never on the wire */
	if (is_mapped(&ip6.saddr) || is_mapped(&ip6.daddr))
		return -DROP_MALFORMED;
	copy_addr(p->key.saddr, &ip6.saddr);
	copy_addr(p->key.daddr, &ip6.daddr);
	p->plain = 1;
	p->hops = ip6.hop_limit;
	p->flow_label = *(__be32 *)&ip6 & bpf_htonl(0x0fffffff);
	next = ip6.nexthdr;
	total += at;			/* end of the packet */

	/* Unrolled: kernel 6.1 refuses a loop whose head is entered by falling through ("back-edge"). */
#pragma unroll
	for (i = 0; i <= MAX_EXTENSION_HEADERS; i++) {
		u8 extension[8];
		u32 length;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT && next != IPPROTO_AH &&
		    next != IPPROTO_ROUTING)
			break;
		if (i == MAX_EXTENSION_HEADERS || next == IPPROTO_ROUTING)
			return -DROP_EXTENSION_HEADER;
		if (bpf_skb_load_bytes(skb, at, extension, sizeof(extension)) < 0)
			return -DROP_MALFORMED;
		length = (extension[1] + 1) * 8;
		if (next == IPPROTO_AH)
			length = (extension[1] + 2) * 4;
		if (next == IPPROTO_FRAGMENT) {
			u16 offset = (extension[2] << 8) | extension[3];

			length = 8;
			if (p->fragment)		/* RFC 8200: one fragment header per packet */
				return -DROP_EXTENSION_HEADER;
			if (offset & 0xfff8)
				p->fragment = FRAGMENT_LATER;
			else if (offset & 1)
				p->fragment = FRAGMENT_FIRST;
			p->frag_id = ((u32)extension[4] << 24) | (extension[5] << 16) | (extension[6] << 8) | extension[7];
			if ((offset & 0xfff8) == 8 && extension[0] == IPPROTO_TCP)
				return -DROP_FRAGMENT_TINY;
		}
		next = extension[0];
		at += length;
		p->plain = 0;
		if (p->fragment == FRAGMENT_LATER)
			break;			/* what follows is the middle of something */
	}
	if (at > total)
		return -DROP_MALFORMED;
	p->key.protocol = next;
	p->l4 = at;
	p->l4_len = total - at;
	return parse_l4(skb, p, ip6.hop_limit);
}

/* `direction` is the packet's, seen from the endpoint that it leaves or enters. */
static __always_inline int parse(struct __sk_buff *skb, struct packet *p, u8 direction)
{
	int error;

	__builtin_memset(p, 0, sizeof(*p));
	p->now = bpf_ktime_get_ns();
	p->kind = KIND_FLOW;
	p->key.direction = direction;
	if (skb->vlan_present)
		return -DROP_UNKNOWN_PROTOCOL;
	if (skb->protocol == bpf_htons(ETH_P_ARP)) {
		p->kind = KIND_LINK;
		return 0;
	}
	if (skb->protocol == bpf_htons(ETH_P_IP))
		error = parse_ipv4(skb, p);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		error = parse_ipv6(skb, p);
	else
		return -DROP_UNKNOWN_PROTOCOL;
	if (error)
		return error;
	/* Nothing on a wire may claim to come from, or go to, a loopback address. */
	if (is_loopback(p->key.saddr) || is_loopback(p->key.daddr) || is_multicast(p->key.saddr))
		return -DROP_MALFORMED;
	return 0;
}

/* The flow that the packet would answer. After parse(), once the endpoint is known. */
static __always_inline void fill_reply(struct packet *p, u32 endpoint)
{
	p->key.endpoint = endpoint;
	p->reply.endpoint = endpoint;
	p->reply.direction = !p->key.direction;
	p->reply.protocol = p->key.protocol;
	p->reply.sport = p->key.dport;
	p->reply.dport = p->key.sport;
	copy_addr(p->reply.saddr, p->key.daddr);
	copy_addr(p->reply.daddr, p->key.saddr);
}
