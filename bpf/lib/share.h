/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares: what one pod may take of the tables that all pods of the node use, so that its flood is its own trouble.
 * Whoever sends pays; what comes from outside the node is charged to the pod that it is for.
 */

#define SECOND_NS 1000000000ULL

/* peer_endpoint is believed here: the programs set it only where the packet came in by that pod's own interface, or
 * where the proxy speaks for it. */
static __always_inline u32 share_payer(const struct packet *p)
{
	return p->key.direction == DIR_INGRESS && p->peer_endpoint ? p->peer_endpoint : p->key.endpoint;
}

/* One more use of something that has a rate: `price_ns` each, and up to `ahead_ns` of them at once. */
static __always_inline bool share_pay(u64 *paid_until, u64 now, u64 price_ns, u64 ahead_ns)
{
	u64 paid = *paid_until > now ? *paid_until : now;

	if (paid - now > ahead_ns)
		return false;
	*paid_until = paid + price_ns;	/* without atomics: racing CPUs may let one more pass */
	return true;
}

/*
 * The count that a new conntrack entry is charged to, or NULL and -DROP_CT_SHARE in *error where the share is in use.
 * Flows that a pod opens and flows that reach it from elsewhere count apart: a flood from outside does not keep its
 * victim from opening connections of its own. What the node itself opens (probes of the kubelet) is charged to nobody.
 */
static __always_inline u32 *share_of_flows(const struct packet *p, const struct node_config *cfg, int *error)
{
	u32 payer = share_payer(p), made, gone;
	struct endpoint_spent *spent;
	struct endpoint_freed *freed;
	bool received;
	u32 *count;

	*error = 0;
	if (p->key.direction == DIR_INGRESS && p->src_identity == IDENTITY_HOST)
		return NULL;
	spent = mesh_spent.lookup(&payer);
	freed = mesh_freed.lookup(&payer);
	if (!spent || !freed) {
		*error = -DROP_CT_SHARE;
		return NULL;
	}
	received = p->key.direction == DIR_INGRESS && !p->peer_endpoint;
	count = received ? &spent->received : &spent->opened;
	gone = received ? freed->received : freed->opened;
	made = *count;
	if ((s32)(made - gone) >= (s32)cfg->flows_per_pod)
		*error = -DROP_CT_SHARE;
	return count;
}

/* May the sender have one more redirect record? 0 or -DROP_REDIRECT_SHARE. */
static __always_inline int share_of_redirects(const struct packet *p)
{
	u32 payer = share_payer(p);
	struct endpoint_spent *spent = mesh_spent.lookup(&payer);
	u64 price = SECOND_NS / REDIRECTS_PER_SECOND;

	if (spent && share_pay(&spent->redirects_ns, p->now, price, REDIRECTS_AT_ONCE * price))
		return 0;
	return -DROP_REDIRECT_SHARE;
}

/* May the pod have one more socket's service remembered? */
static __always_inline bool share_of_sockets(u32 id)
{
	struct endpoint_spent *spent = mesh_spent.lookup(&id);

	return spent && share_pay(&spent->sockets_ns, bpf_ktime_get_ns(), SECOND_NS / SOCKETS_PER_SECOND, SECOND_NS);
}
