/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict on a flow, one direction at a time: two chains, the peer's and everybody's, flags united (layouts.h says
 * in which order they win; mesh/policy/chains.py is the same in Python, held equal by a test).
 * Returns VERDICT_ALLOW, VERDICT_REDIRECT or a negative drop reason.
 */
struct policy_answer {
	u32 rules_peer;
	u32 rules_any;
};

/*
 * Which step of the page is the last that begins at or before what is asked. Counted without a branch, since each way out
 * of each page would be one for the verifier to walk; the compiler must not see that the sign is a comparison.
 */
static __always_inline u64 policy_step(const struct policy_page *page, u32 asked)
{
	u64 found = 0;
	int i;

#pragma unroll
	for (i = 1; i < POLICY_STEPS; i++) {
		u64 distance = (u64)page->begin[i] - asked - 1;

		asm volatile("" : "+r"(distance));
		found += distance >> 63;
	}
	return found;
}

/*
 * Adds what one chain says. The pages of a set are never changed under it, so those of one chain fit each other. A loop
 * that is tested at its end is one that kernel 6.1 takes; unrolled, seven levels cost the compiler a second.
 */
static __always_inline int policy_chain(struct policy_key *key, u32 asked, u32 *flags, u32 *rules)
{
	struct policy_page *page;
	u32 begin, number = 0;
	int level = 0;
	u64 step;

#pragma clang loop unroll(disable)
	do {
		key->page = number;
		page = mesh_policy.lookup(key);
		if (!page)
			return level ? -DROP_NO_POLICY : 0;
		step = policy_step(page, asked);
		begin = page->begin[step];
		number = page->rules[step];
		if (!(begin & POLICY_MORE)) {
			*flags |= begin & 0xff;
			*rules = number;
			return 0;
		}
	} while (++level < POLICY_LEVELS);
	return -DROP_NO_POLICY;
}

static __always_inline int policy_verdict(u32 set, u8 direction, u32 peer, u8 protocol, __be16 port,
					  struct policy_answer *answer)
{
	struct policy_key key __attribute__((aligned(8))) = {
		.set = set,
		.identity = peer,
		.direction = direction,
	};
	u32 asked = (u32)protocol << 24 | (u32)bpf_ntohs(port) << 8 | 0xff;
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
	if (policy_chain(&key, asked, &flags, &answer->rules_peer))
		return -DROP_NO_POLICY;
	if (!(flags & POLICY_FINAL)) {
		key.identity = IDENTITY_ANY;
		if (policy_chain(&key, asked, &flags, &answer->rules_any))
			return -DROP_NO_POLICY;
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
