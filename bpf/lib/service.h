/* SPDX-License-Identifier: Apache-2.0 */
/* Services: addresses that stand for others. Translated in the socket hooks; tc only recognises what they missed. */

static __always_inline struct service_entry *service_lookup(const void *addr, __be16 port, u8 protocol)
{
	struct service_key key __attribute__((aligned(8))) = { .port = port, .protocol = protocol };

	copy_addr(key.addr, addr);
	return mesh_service.lookup(&key);
}

/* Whatever the port: the address's own entry. */
static __always_inline bool service_owns(const void *addr)
{
	return service_lookup(addr, 0, 0) != NULL;
}

/* One backend by lot. NULL: there is none (or it went away this instant). */
static __always_inline struct backend_entry *service_backend(const struct service_entry *service)
{
	u32 index;

	if (!service->backend_count)
		return NULL;
	index = service->backend_base + bpf_get_prandom_u32() % service->backend_count;
	return mesh_backend.lookup(&index);
}

/* The service that this connection was opened to, as the socket hooks noted; 0: none. */
static __always_inline u32 service_of_flow(const struct packet *p)
{
	struct svcflow_key key __attribute__((aligned(8))) = {
		.endpoint = p->key.endpoint,
		.sport = p->key.sport,
		.dport = p->key.dport,
	};
	struct svcflow_entry *entry;

	if (p->key.protocol != IPPROTO_TCP)
		return 0;
	copy_addr(key.saddr, p->key.saddr);
	copy_addr(key.daddr, p->key.daddr);
	entry = mesh_svcflow.lookup(&key);
	return entry ? entry->service : 0;
}
