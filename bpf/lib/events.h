/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of decisions leave through a ring buffer. A full one costs the record, never the packet, and is counted.
 * While the reader keeps up, everything is recorded. When it falls behind, each pod has a rate of its own, so that a
 * flood pushes out no records but its own, and a higher one for denials; the upper half is for denials alone.
 */
#define EVENTS_CALM (EVENTS_BYTES / 4)
#define EVENTS_FOR_ALL (EVENTS_BYTES / 2)
#define EVENT_ALLOW_PRICE_NS (SECOND_NS / 100)
#define EVENT_DENIAL_PRICE_NS (SECOND_NS / 1000)

static __always_inline void event_lost(u32 payer)
{
	struct endpoint_spent *spent = mesh_spent.lookup(&payer);

	gauge_add(GAUGE_EVENTS_LOST);
	if (spent)
		__sync_fetch_and_add(&spent->unrecorded, 1);
}

static __always_inline bool event_affordable(u32 payer, u8 verdict, u64 now)
{
	u64 unread = events_unread_bytes();
	struct endpoint_spent *spent;

	if (unread < EVENTS_CALM)
		return true;
	spent = mesh_spent.lookup(&payer);
	if (!spent)
		return false;
	if (verdict == VERDICT_DENY)
		return share_pay(&spent->denials_ns, now, EVENT_DENIAL_PRICE_NS, SECOND_NS);
	return unread < EVENTS_FOR_ALL && share_pay(&spent->allows_ns, now, EVENT_ALLOW_PRICE_NS, SECOND_NS);
}

/* Room for one record, or NULL, and then it is counted as lost. */
static __always_inline struct flow_event *event_begin(u32 payer, u8 verdict, u64 now)
{
	struct flow_event *event = NULL;

	if (event_affordable(payer, verdict, now))
		event = mesh_events.ringbuf_reserve(sizeof(struct flow_event));
	if (!event)
		event_lost(payer);
	return event;
}

static __always_inline void event_of_packet(const struct packet *p, u8 verdict, u16 reason, u32 bytes)
{
	const struct ct_key *flow = p->answered ? &p->reply : &p->key;
	struct flow_event *event = event_begin(share_payer(p), verdict, p->now);

	if (!event)
		return;
	event->time_ns = p->now;
	event->endpoint = flow->endpoint;
	event->peer_endpoint = p->peer_endpoint;
	event->src_identity = p->src_identity;
	event->dst_identity = p->dst_identity;
	event->policy_set = p->policy_set;
	event->rules_peer = p->rules_peer;
	event->rules_any = p->rules_any;
	event->service = p->service;
	event->flags = p->event_flags;
	event->reason = reason;
	event->verdict = verdict;
	event->direction = flow->direction;
	event->protocol = flow->protocol;
	event->tcp_flags = p->tcp_flags;
	event->sport = flow->sport;
	event->dport = flow->dport;
	event->bytes = bytes > 65535 ? 65535 : bytes;
	copy_addr(event->saddr, flow->saddr);
	copy_addr(event->daddr, flow->daddr);
	mesh_events.ringbuf_submit(event, 0);
}
