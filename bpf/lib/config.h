/* SPDX-License-Identifier: Apache-2.0 */
/* The node's configuration, the scratch packet and the counters. */

/* NULL until the agent has written a configuration with marks: then nothing may pass, for every mark would look right. */
static __always_inline struct node_config *node_config_get(void)
{
	u32 zero = 0;
	struct node_config *cfg = mesh_config.lookup(&zero);

	if (!cfg || !cfg->mark_own_answer || !cfg->mark_from_proxy || !cfg->mark_to_proxy)
		return NULL;
	return cfg;
}

static __always_inline struct packet *scratch_get(u32 place)
{
	return mesh_scratch.lookup(&place);
}

static __always_inline void count(u32 reason, u32 direction, u32 bytes)
{
	u32 index = reason * 2 + direction;
	struct counter *c = mesh_counters.lookup(&index);

	if (!c)
		return;
	c->packets += 1;
	c->bytes += bytes;
}

static __always_inline void gauge_add(u32 index)
{
	u64 *gauge = mesh_gauges.lookup(&index);

	if (gauge)
		*gauge += 1;
}
