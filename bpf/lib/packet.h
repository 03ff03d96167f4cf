/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the packet at hand. Lives in per-CPU memory: the stack of a program has 512 bytes. */

/* What a packet is, as far as policy and conntrack are concerned. */
enum packet_kind {
	KIND_LINK = 0,			/* ARP, neighbour discovery, MLD: the link's own talk, never forwarded */
	KIND_FLOW = 1,			/* may begin a flow */
	KIND_ANSWER = 2,		/* an ICMP answer: must belong to a flow */
	KIND_ERROR = 3,			/* an ICMP error: the keys hold the tuple of the packet that it speaks of */
};

enum fragment {
	FRAGMENT_NONE = 0,
	FRAGMENT_FIRST = 1,
	FRAGMENT_LATER = 2,
};

#define FAMILY_V4 2			/* AF_INET, AF_INET6 */
#define FAMILY_V6 10
#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_PSH 8
#define TCP_ACK 16

struct packet {
	struct ct_key key;		/* as seen: a flow that began with a packet like this one */
	struct ct_key reply;		/* ends exchanged, direction turned: the flow that this packet answers */
	u8 outer_saddr[16];		/* of an ICMP error itself */
	u8 outer_daddr[16];
	u64 now;
	u32 l4;				/* offset of the L4 header */
	u32 seq;			/* of TCP, host order */
	u32 ack;
	u32 frag_id;
	u32 src_identity;
	u32 dst_identity;
	u32 peer_endpoint;
	u32 policy_set;
	u32 rules_peer;
	u32 rules_any;
	u32 service;
	u32 event_flags;
	__be32 flow_label;		/* IPv6 */
	u16 l4_len;			/* header and payload */
	u16 ip_len;			/* total length as written in the header; IPv6: payload length */
	u8 kind;
	u8 fragment;
	u8 tcp_flags;
	u8 icmp_type;
	u8 tos;				/* IPv4 */
	u8 hops;			/* left: TTL or hop limit */
	__sum16 ip_check;		/* IPv4 */
	u8 is_v4;
	u8 plain;			/* L4 follows the fixed IP header at once: resets and ICMP answers can be made */
	u8 proxied;			/* the flow's other end is the proxy */
	u8 answered;			/* the packet answers the flow that conntrack found: `reply` is its key */
	u8 known;			/* of a direct flow that conntrack knows under the policy in force */
	u8 time_wait;			/* a SYN, and the proxy's last connection with this tuple is in TIME_WAIT */
};

static __always_inline void copy_addr(void *to, const void *from)
{
	u32 *t = to;
	const u32 *f = from;

	t[0] = f[0];
	t[1] = f[1];
	t[2] = f[2];
	t[3] = f[3];
}

static __always_inline bool same_addr(const void *a, const void *b)
{
	const u32 *x = a, *y = b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
}

static __always_inline void mapped_addr(void *to, __be32 v4)
{
	u32 *t = to;

	t[0] = 0;
	t[1] = 0;
	t[2] = bpf_htonl(0xffff);
	t[3] = v4;
}

static __always_inline bool is_mapped(const void *addr)
{
	const u32 *a = addr;

	return a[0] == 0 && a[1] == 0 && a[2] == bpf_htonl(0xffff);
}

static __always_inline bool is_loopback(const void *addr)
{
	const u32 *a = addr;

	if (is_mapped(addr))
		return (a[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return a[0] == 0 && a[1] == 0 && a[2] == 0 && a[3] == bpf_htonl(1);
}

static __always_inline bool is_unspecified(const void *addr)
{
	const u32 *a = addr;

	return a[0] == 0 && a[1] == 0 && (a[2] == 0 || a[2] == bpf_htonl(0xffff)) && a[3] == 0;
}

static __always_inline bool is_multicast(const void *addr)
{
	const u8 *a = addr;

	return is_mapped(addr) ? (a[12] & 0xf0) == 0xe0 : a[0] == 0xff;
}

static __always_inline bool is_link_local(const void *addr)
{
	const u8 *a = addr;

	return a[0] == 0xfe && (a[1] & 0xc0) == 0x80;
}

/* The packet's own ends: an ICMP error's keys hold those of the packet that it speaks of. */
static __always_inline const u8 *packet_source(const struct packet *p)
{
	return p->kind == KIND_ERROR ? p->outer_saddr : p->key.saddr;
}

static __always_inline const u8 *packet_destination(const struct packet *p)
{
	return p->kind == KIND_ERROR ? p->outer_daddr : p->key.daddr;
}

static __always_inline bool is_syn(const struct packet *p)
{
	return p->key.protocol == IPPROTO_TCP && p->kind == KIND_FLOW && p->fragment != FRAGMENT_LATER &&
	       (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}
