/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet becomes a TCP reset: to its sender (`backwards`), or on to its receiver in the sender's name.
 *
 * CHECKSUM_PARTIAL: on veths, packets carry the sum of the pseudo header only, and whoever sends or receives them later
 * completes it from where the TCP header begins. No helper tells; but bpf_l4_csum_replace without BPF_F_PSEUDO_HDR
 * leaves the field alone exactly then (net/core/utils.c: inet_proto_csum_replace4). Answers keep the header's place, so
 * the kernel's notion of where to complete stays right, and only the value in the field differs.
 */
#define TCP_CHECK_OFFSET 16
#define IP4_LENGTH_OFFSET 2
#define IP4_CHECK_OFFSET 10
#define IP4_SADDR_OFFSET 12
#define IP6_LENGTH_OFFSET 4
#define IP6_SADDR_OFFSET 8

static __always_inline bool checksum_is_partial(struct __sk_buff *skb, u32 field)
{
	u16 before = 0, after = 0;

	if (bpf_skb_load_bytes(skb, field, &before, sizeof(before)) < 0)
		return false;
	if (bpf_l4_csum_replace(skb, field, 0, 1, 2) < 0)
		return false;
	if (bpf_skb_load_bytes(skb, field, &after, sizeof(after)) < 0)
		return false;
	if (before == after)
		return true;
	bpf_skb_store_bytes(skb, field, &before, sizeof(before), 0);	/* an ICMP error quotes it */
	return false;
}

static __always_inline u16 fold(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static __always_inline u64 sum_words(const void *data, int words)
{
	const u32 *word = data;
	u64 sum = 0;
	int i;

#pragma unroll
	for (i = 0; i < words; i++)
		sum += word[i];
	return sum;
}

/* Mapped IPv4 addresses: only the last word is on the wire. The sum does not depend on the order of the ends. */
static __always_inline u64 pseudo_header_sum(const struct packet *p, u8 protocol, u32 length)
{
	u64 sum = p->is_v4 ? sum_words(&p->key.saddr[12], 1) + sum_words(&p->key.daddr[12], 1)
			   : sum_words(p->key.saddr, 4) + sum_words(p->key.daddr, 4);

	return sum + bpf_htonl(length) + bpf_htonl(protocol);
}

static __always_inline int swap_ethernet(struct __sk_buff *skb)
{
	u8 from[12], to[12];

	if (bpf_skb_load_bytes(skb, 0, from, sizeof(from)) < 0)
		return -1;
	__builtin_memcpy(to, from + 6, 6);
	__builtin_memcpy(to + 6, from, 6);
	return bpf_skb_store_bytes(skb, 0, to, sizeof(to), BPF_F_INVALIDATE_HASH);
}

/* The addresses of the answer; the sum of an IPv4 header does not change when its ends change places. */
static __always_inline int store_addresses(struct __sk_buff *skb, const struct packet *p, bool backwards)
{
	const u8 *source = backwards ? p->key.daddr : p->key.saddr;
	const u8 *destination = backwards ? p->key.saddr : p->key.daddr;
	u32 addr[8];

	if (p->is_v4) {
		addr[0] = *(const u32 *)(source + 12);
		addr[1] = *(const u32 *)(destination + 12);
		return bpf_skb_store_bytes(skb, L3 + IP4_SADDR_OFFSET, addr, 8, BPF_F_RECOMPUTE_CSUM);
	}
	copy_addr(addr, source);
	copy_addr(addr + 4, destination);
	return bpf_skb_store_bytes(skb, L3 + IP6_SADDR_OFFSET, addr, 32, BPF_F_RECOMPUTE_CSUM);
}

static __always_inline int store_length(struct __sk_buff *skb, struct packet *p, u32 l4_len)
{
	u32 total = p->is_v4 ? l4_len + sizeof(struct iphdr) : l4_len;
	__be16 wire = bpf_htons(total);
	__be16 old = bpf_htons(p->ip_len);

	p->ip_len = total;
	if (!p->is_v4)
		return bpf_skb_store_bytes(skb, L3 + IP6_LENGTH_OFFSET, &wire, sizeof(wire), BPF_F_RECOMPUTE_CSUM);
	if (bpf_skb_store_bytes(skb, L3 + IP4_LENGTH_OFFSET, &wire, sizeof(wire), BPF_F_RECOMPUTE_CSUM) < 0)
		return -1;
	return bpf_l3_csum_replace(skb, L3 + IP4_CHECK_OFFSET, old, wire, sizeof(wire));
}

/* RFC 9293 section 3.10.7: what a reset must carry to be believed. `partial` as checksum_is_partial() said. */
static __always_inline int reset_write(struct __sk_buff *skb, struct packet *p, bool backwards, bool partial)
{
	struct tcp_wire tcp __attribute__((aligned(8))) = { .offset = 5 << 4 };
	u64 sum = pseudo_header_sum(p, IPPROTO_TCP, sizeof(tcp));
	u32 length = p->l4_len;

	if (p->tcp_flags & TCP_SYN)
		length += 1;
	if (p->tcp_flags & TCP_FIN)
		length += 1;
	if (backwards) {
		tcp.sport = p->key.dport;
		tcp.dport = p->key.sport;
		tcp.flags = TCP_RST;
		if (p->tcp_flags & TCP_ACK) {
			tcp.seq = bpf_htonl(p->ack);
		} else {
			tcp.ack = bpf_htonl(p->seq + length);
			tcp.flags = TCP_RST | TCP_ACK;
		}
	} else {
		/* The segment itself is not delivered, so the receiver still expects its first byte. */
		tcp.sport = p->key.sport;
		tcp.dport = p->key.dport;
		tcp.flags = TCP_RST | TCP_ACK;
		tcp.seq = bpf_htonl(p->seq);
		tcp.ack = bpf_htonl(p->ack);
	}
	tcp.check = partial ? fold(sum) : (u16)~fold(sum + sum_words(&tcp, 5));
	if (bpf_skb_change_tail(skb, L3 + (p->is_v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) + sizeof(tcp), 0) < 0)
		return -1;
	if (backwards && swap_ethernet(skb) < 0)
		return -1;
	if (store_length(skb, p, sizeof(tcp)) < 0 || store_addresses(skb, p, backwards) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, p->l4, &tcp, sizeof(tcp), BPF_F_RECOMPUTE_CSUM);
}
