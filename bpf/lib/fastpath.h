/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fast path: a packet of a known direct flow passes by the node's IP stack, straight into the pod or out of the
 * uplink. It does what the stack and the programs on its way would have done (hop limit, addresses, MTU, conntrack,
 * counters), and nothing new: whatever is unusual about a packet, a flow, a route or an interface takes the normal way.
 * So a function here answers true (the packet is under way) or false (it is as it was, let it be routed), never deny.
 *
 * Only packets that belong to a flow; one that begins it, or speaks of its errors, goes where all can look at it.
 */
#define VERDICT_UNDER_WAY 16		/* beside enum verdict, between functions alone */
#define PACKET_FOR_US 0			/* PACKET_HOST: forwarding takes nothing else */
#define TOS_PRIORITY 0x1c		/* the bits that forwarding turns into a priority (ip_tos2prio) */
#define ANY_MTU 576			/* what every link can carry (RFC 791) */
#define IP4_TTL_OFFSET 8
#define IP6_HOPS_OFFSET 7

/* bcc 0.26 declares it as it was before it was released. */
static long (*redirect_to_neighbour)(u32 ifindex, struct bpf_redir_neigh *next, int size, u64 flags) =
	(void *)BPF_FUNC_redirect_neigh;

static __always_inline struct fast_path *fast_path_get(void)
{
	u32 zero = 0;

	return mesh_fast_path.lookup(&zero);
}

static __always_inline bool fast_allowed(const struct __sk_buff *skb, const struct packet *p,
					 const struct fast_path *fast)
{
	if (!fast || p->now >= fast->until_ns || !p->plain || p->hops < 2 || (p->tos & TOS_PRIORITY))
		return false;
	return (p->kind == KIND_FLOW || p->kind == KIND_ANSWER) && skb->pkt_type == PACKET_FOR_US;
}

/* What the largest packet on the wire will be: a segment of a packet that the interface will cut up. */
static __always_inline u32 fast_wire_length(const struct __sk_buff *skb, const struct packet *p)
{
	u32 length = skb->len - L3, segment = skb->gso_size;

	if (!segment)
		return length;
	if (p->key.protocol == IPPROTO_UDP)
		segment += sizeof(struct ports_wire);
	return length - p->l4_len + segment;
}

/* As forwarding does. A header's sum stays what it was, so IPv4 leaves a checksum over the whole packet alone. */
static __always_inline bool fast_one_hop(struct __sk_buff *skb, const struct packet *p)
{
	u8 wire[4] = { p->hops - 1, p->key.protocol };
	u32 sum;

	if (!p->is_v4)
		return bpf_skb_store_bytes(skb, L3 + IP6_HOPS_OFFSET, wire, 1, BPF_F_RECOMPUTE_CSUM) == 0;
	sum = (u32)p->ip_check + bpf_htons(0x0100);	/* RFC 1624 */
	*(u16 *)&wire[2] = sum + (sum >= 0xffff);
	return bpf_skb_store_bytes(skb, L3 + IP4_TTL_OFFSET, wire, sizeof(wire), 0) == 0;
}

/* Into the pod `ep`, if its side of the flow is `entry`. Stands for tc_to_pod: same flow, same touch, same count. */
static __always_inline bool fast_to_pod(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
					const struct endpoint_entry *ep, struct ct_entry *entry)
{
	u32 ifindex = ep->ifindex, mtu = 0;
	struct veth_entry *veth;
	u8 ethernet[12];

	if (!entry || (entry->flags & CT_PROXIED) || entry->epoch != ep->epoch)
		return false;
	veth = mesh_veth.lookup(&ifindex);
	if (!veth)
		return false;
	if (fast_wire_length(skb, p) > ANY_MTU && bpf_check_mtu(skb, ifindex, &mtu, 0, BPF_MTU_CHK_SEGS))
		return false;
	__builtin_memcpy(ethernet, veth->pod_mac, 6);
	__builtin_memcpy(ethernet + 6, veth->node_mac, 6);
	if (!fast_one_hop(skb, p) || bpf_skb_store_bytes(skb, 0, ethernet, sizeof(ethernet), 0) < 0)
		return false;
	ct_touch(entry, p, cfg, skb->len);
	count(DROP_NONE, DIR_INGRESS, skb->len);
	skb->mark = 0;
	return bpf_redirect_peer(ifindex, 0) == TC_ACT_REDIRECT;
}

/* What forwarding never takes to be one host's address, whatever the main table says. */
static __always_inline bool fast_is_nobody(const void *addr)
{
	const u8 *a = addr;

	if (is_mapped(addr))
		return !a[12] || a[12] >= 224;
	return is_link_local(addr) || is_multicast(addr);
}

/*
 * Out of an uplink, by the way that the main routing table shows: the agent has seen to it that no rule leads to another
 * one, and the caller that the address is not this node's. Walking the rules would double the cost of it all.
 */
static __always_inline bool fast_to_net(struct __sk_buff *skb, const struct packet *p, const struct fast_path *fast)
{
	struct bpf_fib_lookup way = { .ifindex = skb->ifindex, .l4_protocol = p->key.protocol };
	struct bpf_redir_neigh next = {};
	u32 ifindex;

	if (fast_is_nobody(p->key.daddr) || is_link_local(p->key.saddr))
		return false;
	way.tot_len = fast_wire_length(skb, p);
	if (p->key.protocol == IPPROTO_TCP || p->key.protocol == IPPROTO_UDP) {
		way.sport = p->key.sport;
		way.dport = p->key.dport;
	}
	if (p->is_v4) {
		way.family = FAMILY_V4;
		way.tos = p->tos;
		way.ipv4_src = *(const __be32 *)&p->key.saddr[12];
		way.ipv4_dst = *(const __be32 *)&p->key.daddr[12];
	} else {
		way.family = FAMILY_V6;
		way.flowinfo = p->flow_label;
		copy_addr(way.ipv6_src, p->key.saddr);
		copy_addr(way.ipv6_dst, p->key.daddr);
	}
	if (bpf_fib_lookup(skb, &way, sizeof(way), BPF_FIB_LOOKUP_DIRECT) != BPF_FIB_LKUP_RET_SUCCESS)
		return false;
	ifindex = way.ifindex;
	if (ifindex != fast->uplinks[0] && ifindex != fast->uplinks[1] && ifindex != fast->uplinks[2] &&
	    ifindex != fast->uplinks[3])
		return false;
	if (!fast_one_hop(skb, p))
		return false;
	/* Not with the address that the lookup found: the neighbour's entry must see that it is in use, or it ages. */
	next.nh_family = way.family;
	copy_addr(next.ipv6_nh, way.ipv6_dst);
	return redirect_to_neighbour(ifindex, &next, sizeof(next), 0) == TC_ACT_REDIRECT;
}

/* tc_from_pod has let the packet go, as one of a known direct flow. */
static __always_inline bool fast_from_pod(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg)
{
	const struct fast_path *fast = fast_path_get();
	struct endpoint_entry *peer;
	u32 *here, id;

	if (!fast_allowed(skb, p, fast))
		return false;
	here = address_here(p->key.daddr);
	if (!here)
		return fast_to_net(skb, p, fast);
	id = *here;
	peer = endpoint_get(id);
	if (!peer || id == p->key.endpoint)
		return false;
	p->key.direction = DIR_INGRESS;
	fill_reply(p, id);
	/* What answers a flow at one pod answers it at the other. */
	return fast_to_pod(skb, p, cfg, peer, ct_live(mesh_ct.lookup(p->answered ? &p->reply : &p->key), p->now));
}

/* tc_from_net holds a packet for the pod `ep`, and knows the flow as `entry`. No address of this node comes from there. */
static __always_inline bool fast_from_net(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
					  const struct endpoint_entry *ep, struct ct_entry *entry)
{
	if (!entry || entry->peer_identity == IDENTITY_HOST || !fast_allowed(skb, p, fast_path_get()))
		return false;
	return !address_here(p->key.saddr) && fast_to_pod(skb, p, cfg, ep, entry);
}
