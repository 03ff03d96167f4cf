/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tc egress of the host side of a pod's veth: everything that reaches the pod, wherever it comes from. The authority
 * on the pod's ingress.
 */

/* A packet of the proxy's own leg towards the pod. The proxy authorised the requests; L4 is asked here all the same. */
static __always_inline int to_pod_from_proxy(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
					     const struct endpoint_entry *ep)
{
	struct ct_entry *entry = ct_live(mesh_ct.lookup(&p->key), p->now);
	bool upstream = entry && (entry->flags & CT_UPSTREAM);
	int verdict;

	p->proxied = 1;
	if (upstream && entry->epoch == ep->epoch && !is_syn(p)) {
		ct_touch(entry, p, cfg, skb->len);
		return VERDICT_ALLOW;
	}
	if (p->tcp_flags & TCP_RST)
		return VERDICT_ALLOW;
	/* The client itself holds a direct connection with these very ports: the proxy must take another port. */
	if (entry && !upstream && !(entry->flags & (CT_RESET | CT_FIN_FORWARD | CT_FIN_REPLY)))
		return -DROP_CT_INVALID;
	p->src_identity = ipcache_identity(p->key.saddr);
	p->dst_identity = endpoint_identity(ep, p->is_v4);
	verdict = policy_of_flow(p, ep, DIR_INGRESS, p->key.dport);
	if (verdict == -DROP_UNKNOWN_PEER || verdict == -DROP_NO_POLICY)
		return verdict;
	if (verdict < 0) {
		if (upstream)
			mesh_ct.delete(&p->key);
		return upstream ? -DROP_POLICY_CHANGED : verdict;
	}
	if (upstream && !is_syn(p)) {
		entry->epoch = ep->epoch;
		ct_touch(entry, p, cfg, skb->len);
		return VERDICT_ALLOW;
	}
	p->peer_endpoint = endpoint_by_addr(p->key.saddr);
	verdict = ct_create(p, cfg, ep->epoch, CT_PROXIED | CT_UPSTREAM, skb->len);
	return verdict < 0 ? verdict : VERDICT_ALLOW;
}

/*
 * Does the packet bear an address of this node without coming from it? tc_from_pod and tc_from_net have seen to that on
 * their interfaces; a pod that is not enrolled, or an interface that is no uplink, passes neither.
 */
static __always_inline bool to_pod_borrowed(const struct __sk_buff *skb, const struct packet *p)
{
	u32 came_in = skb->ingress_ifindex;
	struct endpoint_entry *peer;

	if (!came_in)
		return false;		/* made in this namespace, by the node or the proxy */
	if (p->src_identity == IDENTITY_HOST)
		return true;
	if (!p->peer_endpoint)
		return false;
	peer = endpoint_get(p->peer_endpoint);
	return !peer || peer->ifindex != came_in;
}

static __always_inline int to_pod_new(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
				      const struct endpoint_entry *ep)
{
	struct ct_entry *old;
	int verdict;

	p->src_identity = ipcache_identity(p->key.saddr);
	p->dst_identity = endpoint_identity(ep, p->is_v4);
	p->peer_endpoint = endpoint_by_addr(p->key.saddr);
	if (to_pod_borrowed(skb, p))
		return -DROP_SPOOFED_SOURCE;
	verdict = policy_of_flow(p, ep, DIR_INGRESS, p->key.dport);
	if (verdict < 0)
		return verdict;
	if (verdict == VERDICT_REDIRECT)
		return -DROP_PROXY_BYPASS;
	old = is_syn(p) ? ct_live(mesh_ct.lookup(&p->key), p->now) : NULL;
	if (ct_same_opening(old, ep->epoch, 0)) {
		ct_touch(old, p, cfg, skb->len);
		return VERDICT_ALLOW;
	}
	verdict = ct_create(p, cfg, ep->epoch, 0, skb->len);
	if (verdict < 0)
		return verdict;
	event_of_packet(p, VERDICT_ALLOW, DROP_NONE, skb->len);
	return VERDICT_ALLOW;
}

static __always_inline int to_pod_known(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
					const struct endpoint_entry *ep)
{
	struct ct_entry *entry = ct_find(p);
	int error;

	if (!entry) {
		if (p->fragment == FRAGMENT_LATER)
			return -DROP_FRAGMENT_UNKNOWN;
		if (p->kind != KIND_FLOW)
			return -DROP_CT_INVALID;
		if (p->key.protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_RST | TCP_FIN)))
			return -DROP_CT_INVALID;
		return 0;
	}
	p->service = entry->service;
	if (p->kind == KIND_ERROR)
		return VERDICT_ALLOW;
	p->proxied = (entry->flags & CT_PROXIED) != 0;
	/*
	 * What belongs to a proxied flow is made in this namespace: forwarded packets came in somewhere. A socket is no
	 * proof, for TCP answers without one, too: SYN cookies, and resets of IPv6 before kernel 6.13.
	 */
	if (p->proxied && skb->ingress_ifindex)
		return -DROP_PROXY_BYPASS;
	if (entry->epoch != ep->epoch && !(p->tcp_flags & TCP_RST)) {
		error = ct_reask(entry, p, ep);
		if (error)
			return error;
	}
	ct_touch(entry, p, cfg, skb->len);
	return VERDICT_ALLOW;
}

static __always_inline int to_pod_decide(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
					 const struct endpoint_entry *ep, bool from_proxy)
{
	int verdict = 0;

	if (p->fragment == FRAGMENT_LATER) {
		verdict = fragment_recall(p);
		if (verdict < 0)
			return verdict;
	}
	fill_reply(p, p->key.endpoint);
	if (from_proxy && p->key.protocol == IPPROTO_TCP && p->kind == KIND_FLOW)
		return to_pod_from_proxy(skb, p, cfg, ep);
	if (!is_syn(p))
		verdict = to_pod_known(skb, p, cfg, ep);
	if (!verdict)
		verdict = to_pod_new(skb, p, cfg, ep);
	if (verdict == VERDICT_ALLOW && p->fragment == FRAGMENT_FIRST)
		fragment_remember(p);
	return verdict;
}

/* Our own reset passes; the flow that it ends need not be remembered for hours. */
static __always_inline void to_pod_own_answer(struct packet *p, const struct node_config *cfg)
{
	struct ct_entry *entry;

	if (p->kind != KIND_FLOW || !(p->tcp_flags & TCP_RST))
		return;
	fill_reply(p, p->key.endpoint);
	entry = ct_find(p);
	if (entry)
		ct_touch(entry, p, cfg, 0);
}

int tc_to_pod(struct __sk_buff *skb)
{
	const struct node_config *cfg = node_config_get();
	struct packet *p = scratch_get(SCRATCH_TO_POD);
	struct endpoint_entry *ep;
	u32 id, mark = skb->mark;
	int verdict;

	if (!p || !cfg)
		return TC_ACT_SHOT;
	mark &= cfg->mark_mask;
	verdict = parse(skb, p, DIR_INGRESS);
	id = endpoint_by_ifindex(skb->ifindex);
	ep = endpoint_get(id);
	p->key.endpoint = id;
	skb->mark = 0;
	if (mark == cfg->mark_own_answer) {
		if (!verdict)
			to_pod_own_answer(p, cfg);
		return TC_ACT_OK;
	}
	if (!ep)
		verdict = -DROP_NO_POLICY;
	if (!verdict && p->kind == KIND_LINK)
		return TC_ACT_OK;
	if (!verdict)
		verdict = to_pod_decide(skb, p, cfg, ep, mark == cfg->mark_from_proxy && !skb->ingress_ifindex);
	if (verdict < 0) {
		/* Who sent it, by the interface and not by what it claims: that is who pays for the record. */
		if (skb->ingress_ifindex)
			p->peer_endpoint = endpoint_by_ifindex(skb->ingress_ifindex);
		return drop_packet(skb, p, cfg, -verdict, HOOK_TO_POD, DIR_INGRESS);
	}
	count(DROP_NONE, DIR_INGRESS, skb->len);
	return TC_ACT_OK;
}
