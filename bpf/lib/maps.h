/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every map, pinned under WEFT_PIN_MAPS (given on the command line, one folder per instance) except scratch memory.
 * Names have at most 15 characters. Sizes stand here alone; those with a name of their own can be given another value by
 * the agent (--map-entries).
 */
#ifndef ENTRIES_mesh_ipcache
#define ENTRIES_mesh_ipcache 262144
#endif
#ifndef ENTRIES_mesh_endpoint
#define ENTRIES_mesh_endpoint 4096
#endif
#ifndef ENTRIES_mesh_policy
#define ENTRIES_mesh_policy 262144
#endif
#ifndef ENTRIES_mesh_ct
#define ENTRIES_mesh_ct 262144
#endif
#ifndef ENTRIES_mesh_service
#define ENTRIES_mesh_service 65536
#endif
#ifndef ENTRIES_mesh_backend
#define ENTRIES_mesh_backend 262144
#endif

#define MESH_MAP(kind, key_type, value_type, name, entries, flags) \
	BPF_TABLE_PINNED7(kind, key_type, value_type, name, entries, WEFT_PIN_MAPS "/" #name, flags)

#define NO_PREALLOC 1			/* BPF_F_NO_PREALLOC: memory follows use; LPM tries demand it */

MESH_MAP("lpm_trie", struct ipcache_key, struct ipcache_entry, mesh_ipcache, ENTRIES_mesh_ipcache, NO_PREALLOC);
MESH_MAP("hash", u32, struct endpoint_entry, mesh_endpoint, ENTRIES_mesh_endpoint, NO_PREALLOC);
MESH_MAP("hash", u32, u32, mesh_ep_if, 4096, NO_PREALLOC);
MESH_MAP("hash", struct addr_key, u32, mesh_ep_addr, 8192, NO_PREALLOC);
MESH_MAP("hash", u64, u32, mesh_ep_ns, 4096, NO_PREALLOC);
MESH_MAP("hash", struct policy_key, struct policy_page, mesh_policy, ENTRIES_mesh_policy, NO_PREALLOC);

MESH_MAP("array", u32, struct fast_path, mesh_fast_path, 1, 0);
MESH_MAP("hash", u32, struct veth_entry, mesh_veth, 4096, NO_PREALLOC);

/* A plain hash, never an LRU: a SYN flood must not push out established flows. The agent collects dead entries. */
MESH_MAP("hash", struct ct_key, struct ct_entry, mesh_ct, ENTRIES_mesh_ct, NO_PREALLOC);

/* Two writers, two maps: the agent's write of a value can undo no count of the programs. */
MESH_MAP("array", u32, struct endpoint_spent, mesh_spent, ENDPOINT_NUMBERS, 0);
MESH_MAP("array", u32, struct endpoint_freed, mesh_freed, ENDPOINT_NUMBERS, 0);

MESH_MAP("hash", struct service_key, struct service_entry, mesh_service, ENTRIES_mesh_service, NO_PREALLOC);
MESH_MAP("hash", u32, struct backend_entry, mesh_backend, ENTRIES_mesh_backend, NO_PREALLOC);
/*
 * LRU: nobody says when a socket is closed. One pod adds SOCKETS_PER_SECOND at most, so that what another has noted
 * stands for eight seconds at least, whatever the first does: longer than anybody waits for an answer to a datagram.
 */
#define SOCKETS_REMEMBERED 65536
#define SOCKETS_PER_SECOND (SOCKETS_REMEMBERED / 8)
MESH_MAP("lru_hash", struct sockrev_key, struct sockrev_entry, mesh_sockrev, SOCKETS_REMEMBERED, 0);
/* Needed from connect() to the SYN that it sends, and written only where the socket was remembered. */
MESH_MAP("lru_hash", struct svcflow_key, struct svcflow_entry, mesh_svcflow, 16384, 0);

/*
 * LRU: a record is needed between the SYN and accept() alone. Under a flood the oldest goes, and its connection is
 * reset by the proxy (no record: reset); a plain hash would refuse every new connection instead. One pod adds
 * REDIRECTS_PER_SECOND, and a quarter of the table at once: the others' records of the last seconds stand.
 */
#define REDIRECTS 65536
#define REDIRECTS_AT_ONCE (REDIRECTS / 4)
#define REDIRECTS_PER_SECOND (REDIRECTS / 8)
MESH_MAP("lru_hash", struct redirect_key, struct redirect_record, mesh_redirect, REDIRECTS, 0);

/*
 * No share per pod: the fragments of a datagram follow each other within microseconds, and it takes 4,096 first ones in
 * between to push a record out.
 */
MESH_MAP("lru_hash", struct frag_key, struct frag_entry, mesh_frag, 4096, 0);

MESH_MAP("percpu_array", u32, struct counter, mesh_counters, DROP_REASON_COUNT * 2, 0);
MESH_MAP("percpu_array", u32, u64, mesh_gauges, GAUGE_COUNT, 0);
MESH_MAP("array", u32, struct token_bucket, mesh_tokens, 1, 0);
MESH_MAP("array", u32, struct node_config, mesh_config, 1, 0);
MESH_MAP("array", u32, struct datapath_meta, mesh_meta, 1, 0);
MESH_MAP("array", u32, struct map_meta, mesh_map_meta, 32, 0);

/* bcc has no macro for a pinned ring buffer; this is BPF_RINGBUF_OUTPUT with a pin. Max entries is in bytes. */
struct mesh_events_table_t {
	int key;
	u32 leaf;
	u64 (*ringbuf_output)(void *, u64, u64);
	void *(*ringbuf_reserve)(u64);
	void (*ringbuf_discard)(void *, u64);
	void (*ringbuf_submit)(void *, u64);
	u32 max_entries;
};
#define EVENTS_BYTES 2097152
__attribute__((section("maps/ringbuf:" WEFT_PIN_MAPS "/mesh_events")))
struct mesh_events_table_t mesh_events = { .max_entries = EVENTS_BYTES };

/*
 * bcc 0.26 knows no way to ask a ring how full it is. It turns m.ringbuf_output(...) into bpf_ringbuf_output(m, ...),
 * which nothing here calls, so that name can stand for the helper that is wanted.
 */
#define bpf_ringbuf_output(map, unused, size, flags) bpf_ringbuf_query(map, flags)

static __always_inline u64 events_unread_bytes(void)
{
	u32 unused;

	return mesh_events.ringbuf_output(&unused, 0, BPF_RB_AVAIL_DATA);
}

/*
 * The proxy's listeners, put here by the agent; the kernel takes out one that is closed. Values of eight bytes, so that
 * a reader gets the socket's cookie. bcc's macro for such maps knows no lookup and no pin.
 */
#define LISTENER_V4 0
#define LISTENER_V6 1
struct mesh_listeners_table_t {
	u32 key;
	u64 leaf;
	u64 *(*lookup)(u32 *);
	u32 max_entries;
};
__attribute__((section("maps/sockmap:" WEFT_PIN_MAPS "/mesh_listeners")))
struct mesh_listeners_table_t mesh_listeners = { .max_entries = 2 };

/*
 * One place per tc program. tc_from_pod can have tc_to_pod run inside it (bpf_clone_redirect), on the same CPU. The
 * socket hooks must not use this: they can be preempted by one another.
 */
#define SCRATCH_FROM_POD 0
#define SCRATCH_TO_POD 1
#define SCRATCH_FROM_NET 2
BPF_TABLE("percpu_array", u32, struct packet, mesh_scratch, 3);
