/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tc ingress of the host side of a veth whose pod is not enrolled. Nothing of its own is enforced; but what it opens to a
 * pod of this node may have to see the proxy, and bpf_sk_assign works at tc ingress alone.
 */

/*
 * The addresses of enrolled pods and of the node are theirs alone: to_pod_borrowed() says the same of every packet. A pod
 * that is just leaving the mesh is still an endpoint, at this very interface.
 */
static __always_inline int from_guest_decide(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg)
{
	const u8 *source = packet_source(p);
	u32 id = endpoint_by_addr(source);
	struct endpoint_entry *owner;

	if (id) {
		owner = endpoint_get(id);
		if (!owner || owner->ifindex != skb->ifindex)
			return -DROP_SPOOFED_SOURCE;
	} else if (!is_link_local(source) && ipcache_identity(source) == IDENTITY_HOST) {
		return -DROP_SPOOFED_SOURCE;
	}
	return from_outside(skb, p, cfg);
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
	return from_outside_finish(skb, p, cfg, verdict);
}
