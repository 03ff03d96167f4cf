/* SPDX-License-Identifier: Apache-2.0 */
/* Whose address is it? The longest prefix decides; nothing found is unknown, and unknown is never allowed. */

static __always_inline struct ipcache_entry *ipcache_lookup(const void *addr)
{
	struct ipcache_key key __attribute__((aligned(8))) = { .prefix_bits = 128 };

	copy_addr(key.addr, addr);
	return mesh_ipcache.lookup(&key);
}

static __always_inline u32 ipcache_identity(const void *addr)
{
	struct ipcache_entry *entry;

	/* A link-local address on a pod's link has no other end than the node itself. */
	if (is_link_local(addr))
		return IDENTITY_HOST;
	entry = ipcache_lookup(addr);
	return entry ? entry->identity : IDENTITY_UNKNOWN;
}
