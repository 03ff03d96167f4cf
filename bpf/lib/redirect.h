/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hand-over to the proxy: assign the packet to one of its sockets and mark it for local delivery. Works at tc ingress
 * alone. There is no way past: no socket means drop.
 */
#define SOCK_TIME_WAIT 6
#define SOCK_LISTEN 10

static __always_inline struct bpf_sock *redirect_lookup(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock_tuple tuple = {};

	if (p->is_v4) {
		tuple.ipv4.saddr = *(const __be32 *)&p->key.saddr[12];
		tuple.ipv4.daddr = *(const __be32 *)&p->key.daddr[12];
		tuple.ipv4.sport = p->key.sport;
		tuple.ipv4.dport = p->key.dport;
		return bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	copy_addr(tuple.ipv6.saddr, p->key.saddr);
	copy_addr(tuple.ipv6.daddr, p->key.daddr);
	tuple.ipv6.sport = p->key.sport;
	tuple.ipv6.dport = p->key.dport;
	return bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
}

/*
 * To the socket that has this connection already. Listeners do not count: a wildcard listener of the node (sshd) would
 * match any address. For a SYN, TIME_WAIT does not count either, but is remembered.
 */
static __always_inline bool redirect_to_connection(struct __sk_buff *skb, struct packet *p,
						   const struct node_config *cfg)
{
	struct bpf_sock *sk = redirect_lookup(skb, p);
	bool assigned = false;

	if (!sk)
		return false;
	if (sk->state == SOCK_TIME_WAIT && is_syn(p))
		p->time_wait = 1;
	else if (sk->state != SOCK_LISTEN)
		assigned = bpf_sk_assign(skb, sk, 0) == 0;
	bpf_sk_release(sk);
	if (assigned)
		skb->mark = cfg->mark_to_proxy;
	return assigned;
}

/*
 * A SYN whose port was used a moment ago. The listener must not have it: it could not keep the new connection beside
 * the TIME_WAIT socket of the same tuple. That socket must: TCP checks the sequence number, takes the socket out of the
 * way and looks for a listener, and sk_lookup (prog/sk_lookup.c) names the proxy's, by the record just written.
 */
static __always_inline bool redirect_to_time_wait(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock *sk = redirect_lookup(skb, p);
	bool assigned = false;

	if (!sk)
		return false;
	if (sk->state == SOCK_TIME_WAIT)
		assigned = bpf_sk_assign(skb, sk, 0) == 0;
	bpf_sk_release(sk);
	return assigned;
}

/*
 * To the listener: a SYN opens a connection, an ACK may complete a SYN cookie, anything else the kernel's TCP answers
 * with a reset of its own. Every SYN's record is written anew before: sk_lookup believes fresh ones alone.
 */
static __always_inline int redirect_to_listener(struct __sk_buff *skb, const struct packet *p,
						const struct node_config *cfg)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	long error;

	if (p->is_v4) {
		tuple.ipv4.daddr = bpf_htonl(0x7f000001);
		tuple.ipv4.dport = cfg->proxy_port;
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		tuple.ipv6.daddr[3] = bpf_htonl(1);
		tuple.ipv6.dport = cfg->proxy_port;
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return -DROP_PROXY_MISSING;
	error = p->time_wait && redirect_to_time_wait(skb, p) ? 0 : bpf_sk_assign(skb, sk, 0);
	bpf_sk_release(sk);
	if (error)
		return -DROP_PROXY_MISSING;
	skb->mark = cfg->mark_to_proxy;
	return VERDICT_REDIRECT;
}

/* A proxied packet goes to its connection, else to the listener. VERDICT_REDIRECT or a negative drop reason. */
static __always_inline int redirect_hand_over(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg)
{
	if (p->fragment)
		return -DROP_FRAGMENT_PROXIED;	/* a socket can be given whole segments only */
	p->proxied = 1;
	if (redirect_to_connection(skb, p, cfg))
		return VERDICT_REDIRECT;
	if (!(cfg->flags & CONFIG_PROXY_UP))
		return -DROP_PROXY_DOWN;
	return redirect_to_listener(skb, p, cfg);
}

/* Tell the proxy who is talking to whom, before it can accept. */
static __always_inline int redirect_record(const struct packet *p, const struct endpoint_entry *src, u32 src_id,
					   const struct endpoint_entry *dst, u32 dst_id)
{
	struct redirect_key key __attribute__((aligned(8))) = {};
	struct redirect_record record = {
		.time_ns = p->now,
		.src_identity = p->src_identity,
		.dst_identity = p->dst_identity,
		.service = p->service,
	};
	int error = share_of_redirects(p);

	if (error)
		return error;
	copy_addr(key.saddr, p->key.saddr);
	copy_addr(key.daddr, p->key.daddr);
	key.sport = p->key.sport;
	key.dport = p->key.dport;
	if (src) {
		record.src_endpoint = src_id;
		record.src_set = src->policy_set;
		record.src_epoch = src->epoch;
		record.flags |= REDIRECT_EGRESS;
	}
	if (dst) {
		record.dst_endpoint = dst_id;
		record.dst_set = dst->policy_set;
		record.dst_epoch = dst->epoch;
		record.flags |= REDIRECT_INGRESS;
	}
	return mesh_redirect.update(&key, &record) ? -DROP_REDIRECT_FULL : 0;
}
