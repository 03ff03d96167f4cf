/* SPDX-License-Identifier: Apache-2.0 */
/* Records of decisions leave through a ring buffer. A full one costs the record, never the packet, and is counted. */

static __always_inline void event_of_packet(const struct packet *p, u8 verdict, u16 reason, u32 bytes)
{
	const struct ct_key *flow = p->answered ? &p->reply : &p->key;
	struct flow_event *event = mesh_events.ringbuf_reserve(sizeof(struct flow_event));

	if (!event) {
		gauge_add(GAUGE_EVENTS_LOST);
		return;
	}
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
