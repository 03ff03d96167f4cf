/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tc ingress of the host side of a veth whose pod is not enrolled. Nothing of its own is enforced; but what it opens to a
 * pod of this node may have to see the proxy, and bpf_sk_assign works at tc ingress alone.
 */

/*
 * Whoever has an address of the cluster owns it alone, for identity rests on addresses: a pod of this node at its own
 * interface, the node and everybody of other nodes elsewhere. What comes from outside the cluster may come by way of a
 * pod (a gateway) and is judged as such; what nobody knows is refused by policy.
 */
static __always_inline bool from_guest_borrowed(const struct __sk_buff *skb, const u8 *source)
{
	struct ipcache_entry *owner;

	if (is_link_local(source))
		return false;
	owner = ipcache_lookup(source);
	if (!owner || owner->identity == IDENTITY_UNKNOWN || owner->identity == IDENTITY_WORLD ||
	    owner->identity >= IDENTITY_FIRST_PREFIX)
		return false;
	return owner->ifindex != skb->ifindex;
}

static __always_inline int from_guest_decide(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg)
{
	struct endpoint_entry *ep;
	u32 id;

	if (from_guest_borrowed(skb, packet_source(p)))
		return -DROP_SPOOFED_SOURCE;
	id = endpoint_by_addr(packet_destination(p));
	ep = endpoint_get(id);
	return outside_decide(skb, p, cfg, id, ep, ep ? outside_flow(p, id) : NULL);
}

int tc_from_guest(struct __sk_buff *skb)
{
	const struct node_config *cfg = node_config_get();
	struct packet *p = scratch_get(SCRATCH_FROM_NET);
	int verdict;

	if (!p || !cfg)
		return TC_ACT_SHOT;
	skb->mark &= ~cfg->mark_mask;
	verdict = parse(skb, p, DIR_INGRESS);
	/* Its own business, like everything that policy cannot speak of: nothing of the kind is ever let into a pod. */
	if (verdict == -DROP_UNKNOWN_PROTOCOL || (!verdict && p->kind == KIND_LINK))
		return TC_ACT_OK;
	if (!verdict)
		verdict = from_guest_decide(skb, p, cfg);
	return outside_finish(skb, p, cfg, verdict);
}
