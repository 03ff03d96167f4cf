/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict on a flow, one direction at a time: two lookups, the peer's chain and everybody's, flags united
 * (layouts.h says in which order they win; mesh/policy/entries.py is the same in Python, held equal by a test).
 * Returns VERDICT_ALLOW, VERDICT_REDIRECT or a negative drop reason.
 */
struct policy_answer {
	u32 rules_peer;
	u32 rules_any;
};

static __always_inline int policy_verdict(u32 set, u8 direction, u32 peer, u8 protocol, __be16 port,
					  struct policy_answer *answer)
{
	struct policy_key key __attribute__((aligned(8))) = {
		.prefix_bits = POLICY_BITS_PORT,
		.set = set,
		.identity = peer,
		.direction = direction,
		.protocol = protocol,
		.port = port,
	};
	struct policy_entry *entry;
	u32 flags = 0;

	answer->rules_peer = 0;
	answer->rules_any = 0;
	/* A node and its own pods always reach each other: kubelet's probes. */
	if (peer == IDENTITY_HOST)
		return VERDICT_ALLOW;
	if (peer == IDENTITY_UNKNOWN)
		return -DROP_UNKNOWN_PEER;
	if (!set)
		return -DROP_NO_POLICY;
	entry = mesh_policy.lookup(&key);
	if (entry) {
		flags = entry->flags;
		answer->rules_peer = entry->rules;
	}
	key.identity = IDENTITY_ANY;
	entry = mesh_policy.lookup(&key);
	if (entry) {
		flags |= entry->flags;
		answer->rules_any = entry->rules;
	}
	if (flags & POLICY_DENY)
		return -DROP_POLICY_DENY;
	if ((flags & POLICY_HTTP_DENY) && (flags & (POLICY_ALLOW | POLICY_HTTP_ALLOW)))
		return VERDICT_REDIRECT;
	if (flags & POLICY_ALLOW)
		return VERDICT_ALLOW;
	if (flags & POLICY_HTTP_ALLOW)
		return VERDICT_REDIRECT;
	return -DROP_POLICY_DEFAULT;
}

/* The same for the flow of `p`, remembering who decided for the record. The peer's identity is in `p` already. */
static __always_inline int policy_of_flow(struct packet *p, const struct endpoint_entry *ep, u8 direction, __be16 port)
{
	struct policy_answer answer;
	u32 peer = direction == DIR_EGRESS ? p->dst_identity : p->src_identity;
	int verdict;

	p->policy_set = ep->policy_set;
	verdict = policy_verdict(ep->policy_set, direction, peer, p->key.protocol, port, &answer);
	p->rules_peer = answer.rules_peer;
	p->rules_any = answer.rules_any;
	/* Only TCP can be handed to the proxy: what else needs it must not go past it. */
	if (verdict == VERDICT_REDIRECT && p->key.protocol != IPPROTO_TCP)
		return -DROP_PROXY_MISSING;
	return verdict;
}
