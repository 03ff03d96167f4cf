/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no enrolled pod of this node has sent: it came by an uplink, or from a pod that is not enrolled. Handed over where
 * it must see the proxy or belongs to the proxy's sockets; every other verdict is left to tc_to_pod.
 */

static __always_inline int outside_to_node(const struct packet *p, const struct node_config *cfg)
{
	if (p->key.protocol == IPPROTO_TCP && p->kind == KIND_FLOW &&
	    ipcache_identity(p->key.daddr) == IDENTITY_HOST) {
		if (cfg->proxy_port && p->key.dport == cfg->proxy_port)
			return -DROP_PROXY_PORT;
		if (cfg->agent_port && p->key.dport == cfg->agent_port)
			return -DROP_AGENT_PORT;
	}
	return VERDICT_ALLOW;
}

/* An ICMP error about a packet of the proxy's (path MTU!) must reach the proxy's socket. */
static __always_inline int outside_error(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg)
{
	struct bpf_sock *sk;

	if (p->key.protocol != IPPROTO_TCP)
		return VERDICT_ALLOW;
	fill_reply(p, p->key.endpoint);
	/* The socket that sent it has the tuple of an answer to it. */
	__builtin_memcpy(&p->key, &p->reply, sizeof(p->key));
	sk = redirect_lookup(skb, p);
	if (sk) {
		if (sk->state != SOCK_LISTEN)
			skb->mark = cfg->mark_to_proxy;
		bpf_sk_release(sk);
	}
	return VERDICT_ALLOW;
}

static __always_inline int outside_tcp(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
				       const struct endpoint_entry *ep, struct ct_entry *entry)
{
	int verdict;

	if (!is_syn(p)) {
		if (entry && !(entry->flags & CT_PROXIED))
			return VERDICT_ALLOW;
		/* Only the proxy binds addresses of pods in this namespace, so a connection found is the proxy's. */
		if (redirect_to_connection(skb, p, cfg))
			return VERDICT_REDIRECT;
		if (entry && p->answered)
			return -DROP_PROXY_BYPASS;
		p->answered = 0;
		if (p->tcp_flags & (TCP_SYN | TCP_RST | TCP_FIN))
			return VERDICT_ALLOW;	/* of nothing: tc_to_pod refuses it */
	}
	p->src_identity = ipcache_identity(p->key.saddr);
	p->dst_identity = endpoint_identity(ep, p->is_v4);
	verdict = policy_of_flow(p, ep, DIR_INGRESS, p->key.dport);
	if (verdict != VERDICT_REDIRECT)
		return VERDICT_ALLOW;		/* a deny is tc_to_pod's to give, and to count once */
	if (p->fragment)
		return -DROP_FRAGMENT_PROXIED;
	p->proxied = 1;
	if (redirect_to_connection(skb, p, cfg))
		return VERDICT_REDIRECT;	/* a repeated SYN: its request socket is there */
	if (!(cfg->flags & CONFIG_PROXY_UP))
		return -DROP_PROXY_DOWN;
	if (is_syn(p)) {
		/* What the last connection from this port left must not lead the packets of this one past the proxy, to a
		 * server that knows nothing of it. An entry of the proxy's own leg stays: it can have the same tuple. */
		entry = mesh_ct.lookup(&p->key);
		if (entry && !(entry->flags & CT_PROXIED))
			mesh_ct.delete(&p->key);
		verdict = redirect_record(p, NULL, 0, ep, p->key.endpoint);
		if (verdict < 0)
			return verdict;
		event_of_packet(p, VERDICT_REDIRECT, DROP_NONE, skb->len);
	}
	return redirect_to_listener(skb, p, cfg);
}

/* The flow that a packet for a pod of this node belongs to. */
static __always_inline struct ct_entry *outside_flow(struct packet *p, u32 id)
{
	if (p->kind == KIND_ERROR || p->fragment == FRAGMENT_LATER)
		return NULL;
	fill_reply(p, id);
	return is_syn(p) ? NULL : ct_find(p);
}

/*
 * What is not sent by an enrolled pod of this node, once its source address is known to be its own. For the endpoint
 * `id`, `ep` (0 and NULL: none), of the flow `entry` (NULL: none that is known).
 */
static __always_inline int outside_decide(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg, u32 id,
					  const struct endpoint_entry *ep, struct ct_entry *entry)
{
	if (!id)
		return outside_to_node(p, cfg);
	if (!ep)
		return -DROP_NO_POLICY;
	p->key.endpoint = id;
	if (p->kind == KIND_ERROR)
		return outside_error(skb, p, cfg);
	if (p->key.protocol == IPPROTO_TCP && p->fragment != FRAGMENT_LATER)
		return outside_tcp(skb, p, cfg, ep, entry);
	return VERDICT_ALLOW;
}

/* What tc is told. */
static __always_inline int outside_finish(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
					  int verdict)
{
	if (verdict < 0)
		return drop_packet(skb, p, cfg, -verdict, HOOK_FROM_NET, DIR_INGRESS);
	if (verdict == VERDICT_UNDER_WAY)
		return TC_ACT_REDIRECT;
	if (verdict == VERDICT_REDIRECT) {
		gauge_add(GAUGE_REDIRECTED);
		count(DROP_NONE, DIR_INGRESS, skb->len);
	}
	return TC_ACT_OK;
}
