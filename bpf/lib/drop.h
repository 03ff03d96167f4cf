/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a packet that goes no further: counted, recorded, and where that helps answered at once, so that an
 * application sees a refusal and not a timeout. Answers carry mark_own_answer, which lets them through our programs.
 */

/* Where the program hangs decides which way "back to the sender" and "on to the receiver" are. */
enum hook {
	HOOK_FROM_POD = 0,		/* back: out of this interface. on: let it be routed, or to the proxy's socket */
	HOOK_TO_POD = 1,		/* back: as if it had come in from this interface. on: let it go out */
	HOOK_FROM_NET = 2,		/* back: out of this interface */
};

/* Lies, noise and lag are not answered: an answer would help nobody, or turn news that are on their way into failure. */
static __always_inline bool drop_is_silent(int reason)
{
	switch (reason) {
	case DROP_NO_POLICY:
	case DROP_UNKNOWN_PEER:
	case DROP_SPOOFED_SOURCE:
	case DROP_MALFORMED:
	case DROP_FRAGMENT_UNKNOWN:
	case DROP_FRAGMENT_TINY:
	case DROP_FRAGMENT_PROXIED:
	case DROP_UNKNOWN_PROTOCOL:
	case DROP_SPOOFED_FROM_NET:
	case DROP_EXTENSION_HEADER:
		return true;
	}
	return false;
}

static __always_inline bool drop_ends_flow(int reason)
{
	return reason == DROP_POLICY_CHANGED || reason == DROP_NEEDS_PROXY_NOW;
}

static __always_inline u64 back_flags(u32 hook)
{
	return hook == HOOK_TO_POD ? BPF_F_INGRESS : 0;
}

static __always_inline int answer_failed(u32 direction)
{
	count(DROP_RESET_FAILED, direction, 0);
	return TC_ACT_SHOT;
}

static __always_inline int drop_with_reset(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
					   int reason, u32 hook, u32 direction)
{
	bool partial = checksum_is_partial(skb, p->l4 + TCP_CHECK_OFFSET);
	u32 ifindex = skb->ifindex;

	if (reset_write(skb, p, true, partial) < 0)
		return answer_failed(direction);
	/* The proxy's own packet is answered to its socket. Anybody else's reset may have the tuple of a socket that the
	 * proxy left behind, and must not end there. */
	skb->mark = hook == HOOK_TO_POD && p->proxied ? cfg->mark_to_proxy : cfg->mark_own_answer;
	gauge_add(GAUGE_RESETS_SENT);
	if (!drop_ends_flow(reason) || hook == HOOK_FROM_NET)
		return bpf_redirect(ifindex, back_flags(hook));
	/* A live flow: its other end must learn too, or it would hang. */
	if (bpf_clone_redirect(skb, ifindex, back_flags(hook)) < 0)
		return answer_failed(direction);
	if (swap_ethernet(skb) < 0 || reset_write(skb, p, false, partial) < 0)
		return answer_failed(direction);
	gauge_add(GAUGE_RESETS_SENT);
	if (hook == HOOK_TO_POD) {
		skb->mark = 0;
		return TC_ACT_OK;
	}
	if (p->proxied)
		return redirect_to_connection(skb, p, cfg) ? TC_ACT_OK : TC_ACT_SHOT;
	return TC_ACT_OK;
}

static __always_inline int drop_with_icmp(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
					  u32 hook, u32 direction)
{
	bool partial = checksum_is_partial(skb, p->l4 + UDP_CHECK_OFFSET);

	if (!icmp_allowed(p, cfg)) {
		gauge_add(GAUGE_ICMP_SUPPRESSED);
		return TC_ACT_SHOT;
	}
	if ((p->is_v4 ? icmp4_write(skb, p) : icmp6_write(skb, p, partial)) < 0)
		return answer_failed(direction);
	skb->mark = cfg->mark_own_answer;
	gauge_add(GAUGE_ICMP_SENT);
	return bpf_redirect(skb->ifindex, back_flags(hook));
}

static __always_inline int drop_packet(struct __sk_buff *skb, struct packet *p, const struct node_config *cfg,
				       int reason, u32 hook, u32 direction)
{
	u32 bytes = skb->len;

	if (drop_ends_flow(reason))
		p->event_flags |= EVENT_REPLY_RESET;
	count(reason, direction, bytes);
	event_of_packet(p, VERDICT_DENY, reason, bytes);
	if (!p->plain || p->kind != KIND_FLOW || drop_is_silent(reason) || (cfg->flags & CONFIG_DROP_SILENTLY) ||
	    is_multicast(p->key.daddr))
		return TC_ACT_SHOT;
	if (p->key.protocol == IPPROTO_TCP && !(p->tcp_flags & TCP_RST))
		return drop_with_reset(skb, p, cfg, reason, hook, direction);
	if (p->key.protocol == IPPROTO_UDP)
		return drop_with_icmp(skb, p, cfg, hook, direction);
	return TC_ACT_SHOT;
}
