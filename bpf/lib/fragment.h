/* SPDX-License-Identifier: Apache-2.0 */
/* Later fragments carry no ports; they belong to the flow of their first one, if that one was let through. */
#define FRAGMENT_LIFE_NS 30000000000ULL	/* as long as the kernel waits for a packet's fragments (ip_frag_time) */

static __always_inline void fragment_key(struct frag_key *key, const struct packet *p)
{
	copy_addr(key->saddr, p->key.saddr);
	copy_addr(key->daddr, p->key.daddr);
	key->id = p->frag_id;
	key->protocol = p->key.protocol;
}

static __always_inline void fragment_remember(const struct packet *p)
{
	struct frag_key key __attribute__((aligned(8))) = {};
	struct frag_entry entry = {
		.expires_ns = p->now + FRAGMENT_LIFE_NS,
		.sport = p->key.sport,
		.dport = p->key.dport,
	};

	fragment_key(&key, p);
	mesh_frag.update(&key, &entry);
}

/* Gives a later fragment its ports. Before fill_reply(). */
static __always_inline int fragment_recall(struct packet *p)
{
	struct frag_key key __attribute__((aligned(8))) = {};
	struct frag_entry *entry;

	fragment_key(&key, p);
	entry = mesh_frag.lookup(&key);
	if (!entry || entry->expires_ns < p->now)
		return -DROP_FRAGMENT_UNKNOWN;
	p->key.sport = entry->sport;
	p->key.dport = entry->dport;
	p->tcp_flags = TCP_ACK;
	return 0;
}
