/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tc ingress of the host side of a pod's veth: everything that leaves the pod. Enforces its egress, and hands over to
 * the proxy what egress or the destination's ingress wants seen. Here, because bpf_sk_assign works at tc ingress alone.
 */

/* The record of this packet becomes one of the destination's, which denied it. */
static __always_inline void record_as_ingress(struct packet *p, const struct endpoint_entry *peer, u32 peer_id,
					      const struct policy_answer *answer)
{
	p->peer_endpoint = p->key.endpoint;
	p->key.endpoint = peer_id;
	p->key.direction = DIR_INGRESS;
	p->policy_set = peer->policy_set;
	p->rules_peer = answer->rules_peer;
	p->rules_any = answer->rules_any;
}

/* A flow's first packet. VERDICT_ALLOW, VERDICT_REDIRECT (hand over) or a negative drop reason. */
static __always_inline int from_pod_new(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
					const struct endpoint_entry *ep)
{
	struct endpoint_entry *peer = NULL;
	struct ct_entry *old;
	u32 flags = 0, peer_id;
	int verdict;

	p->src_identity = endpoint_identity(ep, p->is_v4);
	p->dst_identity = ipcache_identity(p->key.daddr);
	if (p->dst_identity == IDENTITY_HOST && p->key.protocol == IPPROTO_TCP) {
		if (cfg->proxy_port && p->key.dport == cfg->proxy_port)
			return -DROP_PROXY_PORT;
		if (cfg->agent_port && p->key.dport == cfg->agent_port)
			return -DROP_AGENT_PORT;
	}
	if (service_owns(p->key.daddr))
		return -DROP_SERVICE_UNTRANSLATED;
	if (is_syn(p))
		p->service = service_of_flow(p);
	verdict = policy_of_flow(p, ep, DIR_EGRESS, p->key.dport);
	if (verdict < 0)
		return verdict;
	if (verdict == VERDICT_REDIRECT)
		flags = CT_PROXIED;

	/* Would the destination's ingress want the proxy? Its deny is tc_to_pod's to give, except to the proxy: that
	 * would accept a connection which has no server. */
	peer_id = endpoint_by_addr(p->key.daddr);
	p->peer_endpoint = peer_id;
	if (peer_id && peer_id != p->key.endpoint && p->key.protocol == IPPROTO_TCP) {
		struct policy_answer answer;

		peer = endpoint_get(peer_id);
		verdict = VERDICT_ALLOW;
		if (peer)
			verdict = policy_verdict(peer->policy_set, DIR_INGRESS, p->src_identity, p->key.protocol,
						 p->key.dport, &answer);
		if (flags && (verdict == -DROP_POLICY_DENY || verdict == -DROP_POLICY_DEFAULT)) {
			record_as_ingress(p, peer, peer_id, &answer);
			return verdict;
		}
		if (verdict == VERDICT_REDIRECT)
			flags = CT_PROXIED;
	}
	if (flags && is_syn(p)) {
		verdict = redirect_record(p, ep, p->key.endpoint, peer, peer_id);
		if (verdict < 0)
			return verdict;
	}
	old = is_syn(p) ? ct_live(mesh_ct.lookup(&p->key), p->now) : NULL;
	if (ct_same_opening(old, ep->epoch, flags)) {
		ct_touch(old, p, cfg, skb->len);
		return flags ? VERDICT_REDIRECT : VERDICT_ALLOW;
	}
	verdict = ct_create(p, cfg, ep->epoch, flags, skb->len);
	if (verdict < 0)
		return verdict;
	event_of_packet(p, flags ? VERDICT_REDIRECT : VERDICT_ALLOW, DROP_NONE, skb->len);
	return flags ? VERDICT_REDIRECT : VERDICT_ALLOW;
}

/* A packet that answers, errs about or continues a known flow; 0: there is none, ask policy. */
static __always_inline int from_pod_known(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
					  const struct endpoint_entry *ep)
{
	struct ct_entry *entry = ct_find(p);
	int error;

	if (!entry) {
		if (p->fragment == FRAGMENT_LATER)
			return -DROP_FRAGMENT_UNKNOWN;
		if (p->kind != KIND_FLOW)
			return -DROP_CT_INVALID;
		/* A running connection that we never saw begin (the pod was enrolled later): policy decides, as for a
		 * SYN. An answer or an end of nothing is refused. */
		if (p->key.protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_RST | TCP_FIN)))
			return -DROP_CT_INVALID;
		return 0;
	}
	p->service = entry->service;
	if (p->kind == KIND_ERROR) {
		/* About a packet of the proxy's, on either leg: the proxy's socket must hear of it. */
		if (entry->flags & CT_PROXIED)
			skb->mark = cfg->mark_to_proxy;
		return VERDICT_ALLOW;
	}
	p->proxied = (entry->flags & CT_PROXIED) != 0;
	p->known = !p->proxied && entry->epoch == ep->epoch;
	if (entry->epoch != ep->epoch && !(p->tcp_flags & TCP_RST)) {
		error = ct_reask(entry, p, ep);
		if (error)
			return error;
	}
	ct_touch(entry, p, cfg, skb->len);
	return entry->flags & CT_PROXIED ? VERDICT_REDIRECT : VERDICT_ALLOW;
}

static __always_inline int from_pod_decide(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
					   const struct endpoint_entry *ep)
{
	int verdict = 0;

	if (!endpoint_owns(ep, packet_source(p)))
		return -DROP_SPOOFED_SOURCE;
	if (p->fragment == FRAGMENT_LATER) {
		verdict = fragment_recall(p);
		if (verdict < 0)
			return verdict;
	}
	fill_reply(p, p->key.endpoint);
	if (!is_syn(p))
		verdict = from_pod_known(skb, p, cfg, ep);
	if (!verdict)
		verdict = from_pod_new(skb, p, cfg, ep);
	if (verdict == VERDICT_REDIRECT)
		verdict = redirect_hand_over(skb, p, cfg);
	if (verdict == VERDICT_ALLOW && p->fragment == FRAGMENT_FIRST)
		fragment_remember(p);
	return verdict;
}

/*
 * ARP, neighbour discovery and MLD are between a pod and its node. A router forwards neighbour discovery like anything
 * else, so it would be a way past policy to everywhere; and a pod advertises itself at most, never a router.
 */
static __always_inline int from_pod_link(const struct packet *p, const struct endpoint_entry *ep)
{
	if (!p->key.protocol)
		return 0;		/* ARP */
	if (!is_unspecified(p->key.saddr) && !is_link_local(p->key.saddr) && !endpoint_owns(ep, p->key.saddr))
		return -DROP_SPOOFED_SOURCE;
	if (p->icmp_type == ICMP6_ROUTER_ADVERTISEMENT)
		return -DROP_MALFORMED;
	if (!is_multicast(p->key.daddr) && ipcache_identity(p->key.daddr) != IDENTITY_HOST)
		return -DROP_MALFORMED;
	return 0;
}

int tc_from_pod(struct __sk_buff *skb)
{
	const struct node_config *cfg = node_config_get();
	struct packet *p = scratch_get(SCRATCH_FROM_POD);
	struct endpoint_entry *ep;
	u32 mark = skb->mark, id;
	int verdict;

	if (!p || !cfg)
		return TC_ACT_SHOT;
	verdict = parse(skb, p, DIR_EGRESS);
	/* Resets and ICMP that tc_to_pod sent back to the sender, which may be the proxy, whose socket is in this namespace.
	 * A pod cannot forge this: a packet that crosses network namespaces loses its mark (skb_scrub_packet). */
	mark &= cfg->mark_mask;
	if (mark == cfg->mark_own_answer)
		return TC_ACT_OK;
	if (mark == cfg->mark_to_proxy) {
		skb->mark = 0;
		return !verdict && redirect_to_connection(skb, p, cfg) ? TC_ACT_OK : TC_ACT_SHOT;
	}
	skb->mark = 0;
	id = endpoint_by_ifindex(skb->ifindex);
	ep = endpoint_get(id);
	p->key.endpoint = id;
	if (!ep)
		verdict = -DROP_NO_POLICY;
	if (!verdict && p->kind == KIND_LINK) {
		verdict = from_pod_link(p, ep);
		if (!verdict)
			return TC_ACT_OK;
	}
	if (!verdict)
		verdict = from_pod_decide(skb, p, cfg, ep);
	if (verdict < 0)
		return drop_packet(skb, p, cfg, -verdict, HOOK_FROM_POD, DIR_EGRESS);
	if (verdict == VERDICT_REDIRECT)
		gauge_add(GAUGE_REDIRECTED);
	count(DROP_NONE, DIR_EGRESS, skb->len);
	if (p->known && fast_from_pod(skb, p, cfg))
		return TC_ACT_REDIRECT;
	return TC_ACT_OK;
}
