/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: the pods of this node, found by interface, by address or by network namespace. */

static __always_inline u32 endpoint_by_ifindex(u32 ifindex)
{
	u32 *id = mesh_ep_if.lookup(&ifindex);

	return id ? *id : 0;
}

/* NULL: not an address of this node. 0: one of it, but of no endpoint. */
static __always_inline u32 *address_here(const void *addr)
{
	struct addr_key key __attribute__((aligned(8))) = {};

	copy_addr(key.addr, addr);
	return mesh_ep_addr.lookup(&key);
}

static __always_inline u32 endpoint_by_addr(const void *addr)
{
	u32 *id = address_here(addr);

	return id ? *id : 0;
}

static __always_inline u32 endpoint_by_netns(u64 cookie)
{
	u32 *id = mesh_ep_ns.lookup(&cookie);

	return id ? *id : 0;
}

static __always_inline struct endpoint_entry *endpoint_get(u32 id)
{
	return mesh_endpoint.lookup(&id);
}

/* Is `addr` the pod's own? The only source address that it may use, and the one destination that no policy asks for. */
static __always_inline bool endpoint_owns(const struct endpoint_entry *ep, const void *addr)
{
	if (is_mapped(addr))
		return (ep->flags & ENDPOINT_HAS_V4) && same_addr(addr, ep->addr4);
	return (ep->flags & ENDPOINT_HAS_V6) && same_addr(addr, ep->addr6);
}

static __always_inline u32 endpoint_identity(const struct endpoint_entry *ep, bool is_v4)
{
	return is_v4 ? ep->identity4 : ep->identity6;
}
