/* SPDX-License-Identifier: Apache-2.0 */
/* tc ingress of the node's uplinks: what comes from other nodes and the world. lib/outside.h decides about it. */

static __always_inline int from_net_decide(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg)
{
	u32 id = endpoint_by_addr(packet_destination(p));
	struct endpoint_entry *ep = endpoint_get(id);
	struct ct_entry *entry = NULL;
	struct ipcache_entry *source;

	if (ep) {
		entry = outside_flow(p, id);
		if (fast_from_net(skb, p, cfg, ep, entry))
			return VERDICT_UNDER_WAY;
	}
	source = ipcache_lookup(packet_source(p));
	if (source && (source->flags & IPCACHE_LOCAL)) {
		p->key.endpoint = 0;	/* not a record of the pod's */
		p->answered = 0;
		return -DROP_SPOOFED_FROM_NET;
	}
	return outside_decide(skb, p, cfg, id, ep, entry);
}

int tc_from_net(struct __sk_buff *skb)
{
	const struct node_config *cfg = node_config_get();
	struct packet *p = scratch_get(SCRATCH_FROM_NET);
	int verdict;

	if (!p || !cfg)
		return TC_ACT_SHOT;
	skb->mark &= ~cfg->mark_mask;
	verdict = parse(skb, p, DIR_INGRESS);
	/* Other protocols and VLANs are the node's own business: nothing of the kind is ever forwarded to a pod. */
	if (verdict == -DROP_UNKNOWN_PROTOCOL)
		return TC_ACT_OK;
	if (!verdict && p->kind == KIND_LINK)
		return TC_ACT_OK;
	if (!verdict)
		verdict = from_net_decide(skb, p, cfg);
	return outside_finish(skb, p, cfg, verdict);
}
