/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conntrack: what was decided on a flow's first packet holds for the rest, until the endpoint's epoch moves on.
 * An expired entry is a miss. Counters are added without atomics: a flow's packets of one direction come on one CPU,
 * and a lost count is cheaper than a locked bus on every packet.
 */
static __always_inline u64 ct_life(const struct node_config *cfg, u8 protocol, u32 flags)
{
	u32 seconds;

	if (protocol == IPPROTO_TCP) {
		if ((flags & CT_RESET) || (flags & (CT_FIN_FORWARD | CT_FIN_REPLY)) == (CT_FIN_FORWARD | CT_FIN_REPLY))
			seconds = cfg->tcp_closing_s;
		else if (flags & CT_SEEN_REPLY)
			seconds = cfg->tcp_established_s;
		else
			seconds = cfg->tcp_opening_s;
	} else if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
		seconds = cfg->icmp_s;
	} else {
		seconds = cfg->udp_s;
	}
	return seconds * SECOND_NS;
}

static __always_inline struct ct_entry *ct_live(struct ct_entry *entry, u64 now)
{
	return entry && entry->expires_ns >= now ? entry : NULL;
}

/* The flow that the packet belongs to; p->answered tells which way round. NULL: none that lives. */
static __always_inline struct ct_entry *ct_find(struct packet *p)
{
	struct ct_entry *entry = ct_live(mesh_ct.lookup(&p->key), p->now);

	p->answered = 0;
	if (entry)
		return entry;
	entry = ct_live(mesh_ct.lookup(&p->reply), p->now);
	if (entry)
		p->answered = 1;
	return entry;
}

/* One more packet. Writes only what changed: most packets change the counters and, once a second, the expiry. */
static __always_inline void ct_touch(struct ct_entry *entry, const struct packet *p, const struct node_config *cfg,
				     u32 bytes)
{
	u32 flags = entry->flags;
	u64 expires;

	if (p->answered)
		flags |= CT_SEEN_REPLY;
	if (p->key.protocol == IPPROTO_TCP && p->fragment != FRAGMENT_LATER) {
		if (p->tcp_flags & TCP_RST)
			flags |= CT_RESET;
		if (p->tcp_flags & TCP_FIN)
			flags |= p->answered ? CT_FIN_REPLY : CT_FIN_FORWARD;
	}
	if (flags != entry->flags)
		entry->flags = flags;
	expires = p->now + ct_life(cfg, p->key.protocol, flags);
	if (expires < entry->expires_ns || expires - entry->expires_ns > SECOND_NS)
		entry->expires_ns = expires;
	entry->packets += 1;
	entry->bytes += bytes;
}

#define ERROR_EXISTS 17

/*
 * Begin a flow with this packet. 0, -DROP_CT_FULL or -DROP_CT_SHARE: what cannot be remembered is not let through. An
 * entry that stands there already (expired, or of a connection that opens anew) needs no more room: it is overwritten,
 * and not counted again. The agent corrects the count each time it has walked the map.
 */
static __always_inline int ct_create(struct packet *p, const struct node_config *cfg, u32 epoch, u32 flags, u32 bytes)
{
	struct ct_entry entry = {
		.created_ns = p->now,
		.expires_ns = p->now + ct_life(cfg, p->key.protocol, flags),
		.packets = 1,
		.bytes = bytes,
		.epoch = epoch,
		.flags = flags,
		.peer_identity = p->key.direction == DIR_EGRESS ? p->dst_identity : p->src_identity,
		.rules_peer = p->rules_peer,
		.rules_any = p->rules_any,
		.service = p->service,
	};
	u32 *count;
	int error;

	count = share_of_flows(p, cfg, &error);
	if (error && !mesh_ct.lookup(&p->key))
		return error;
	error = mesh_ct.insert(&p->key, &entry);
	if (error == -ERROR_EXISTS)
		error = mesh_ct.update(&p->key, &entry);
	else if (!error && count)
		__sync_fetch_and_add(count, 1);
	if (error)
		return -DROP_CT_FULL;
	gauge_add(GAUGE_CT_CREATED);
	return 0;
}

/* A repeated SYN of a flow that is already being opened the same way: nothing new to decide or to tell. */
static __always_inline bool ct_same_opening(const struct ct_entry *entry, u32 epoch, u32 flags)
{
	return entry && entry->epoch == epoch && entry->flags == flags;
}

/*
 * Ask again: the endpoint's policy moved on since the flow was decided. Deny, or a direct flow that needs the proxy
 * now, ends the flow (both ends are told by the caller); a proxied flow stays and its requests are authorised anew.
 */
static __always_inline int ct_reask(struct ct_entry *entry, struct packet *p, const struct endpoint_entry *ep)
{
	struct ct_key *flow = p->answered ? &p->reply : &p->key;
	u8 direction = flow->direction;
	int verdict;

	if (direction == DIR_EGRESS) {
		p->src_identity = endpoint_identity(ep, p->is_v4);
		p->dst_identity = ipcache_identity(flow->daddr);
	} else {
		p->src_identity = ipcache_identity(flow->saddr);
		p->dst_identity = endpoint_identity(ep, p->is_v4);
	}
	verdict = policy_of_flow(p, ep, direction, flow->dport);
	if (verdict == -DROP_UNKNOWN_PEER || verdict == -DROP_NO_POLICY)
		return verdict;		/* news are on their way: drop, but do not end the flow */
	if (verdict == VERDICT_REDIRECT && !(entry->flags & CT_PROXIED)) {
		mesh_ct.delete(flow);
		return -DROP_NEEDS_PROXY_NOW;
	}
	if (verdict < 0) {
		mesh_ct.delete(flow);
		return -DROP_POLICY_CHANGED;
	}
	entry->epoch = ep->epoch;
	entry->peer_identity = direction == DIR_EGRESS ? p->dst_identity : p->src_identity;
	entry->rules_peer = p->rules_peer;
	entry->rules_any = p->rules_any;
	return 0;
}
