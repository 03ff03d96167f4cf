/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every struct, enum and constant that kernel and Python share. No maps, no functions, no bcc macros.
 *
 * A strict subset of C, because agent/datapath/layoutgen.py reads it: fixed-width types (__u8 to __u64, __be16, __be32),
 * arrays, flat structs, enums, #define of plain numbers. All padding is explicit, each struct is followed by its size.
 * Addresses are 16 bytes everywhere; an IPv4 address is v4-mapped (::ffff:a.b.c.d).
 * Numbers that leave the kernel (drop reasons, verdicts, flags) are never reused: a retired one keeps its place.
 * Long because one file owns all layouts: what two files own drifts apart.
 */
#ifndef WEFT_LAYOUTS_H
#define WEFT_LAYOUTS_H

/* Directions are seen from the workload: egress leaves it, ingress enters it. */
enum direction {
	DIR_EGRESS = 0,
	DIR_INGRESS = 1,
};

enum identity {
	IDENTITY_UNKNOWN = 0,
	IDENTITY_HOST = 1,
	IDENTITY_WORLD = 2,
	IDENTITY_REMOTE_NODE = 3,
	IDENTITY_HEALTH = 4,
	IDENTITY_KUBE_APISERVER = 5,
};

/* From here on: prefixes outside the cluster that policies name. Below, but for WORLD: somebody of the cluster. */
#define IDENTITY_FIRST_PREFIX 16777216

/* The policy chain that holds for every peer. */
#define IDENTITY_ANY 4294967295

enum verdict {
	VERDICT_ALLOW = 1,
	VERDICT_DENY = 2,
	VERDICT_REDIRECT = 3,
};

/* Why a packet went no further. 0 is "it did". */
enum drop_reason {
	DROP_NONE = 0,
	DROP_POLICY_DENY = 1,		/* a deny rule matched */
	DROP_POLICY_DEFAULT = 2,	/* no rule allows it and the direction is default deny */
	DROP_NO_POLICY = 3,		/* the endpoint has no policy (yet), or the lookup found nothing */
	DROP_UNKNOWN_PEER = 4,		/* an address of the cluster that nobody has announced: silent */
	DROP_SPOOFED_SOURCE = 5,	/* the pod does not own the source address */
	DROP_MALFORMED = 6,		/* headers that cannot be read or contradict themselves */
	DROP_FRAGMENT_UNKNOWN = 7,	/* a later fragment whose first one was not seen */
	DROP_FRAGMENT_TINY = 8,		/* a first fragment that ends before the ports */
	DROP_FRAGMENT_PROXIED = 9,	/* a fragment of a flow that the proxy must see */
	DROP_CT_FULL = 10,		/* conntrack map full: new flows are denied */
	DROP_CT_INVALID = 11,		/* TCP packet of no known flow that is not a SYN */
	DROP_PROXY_MISSING = 12,	/* policy asks for the proxy and none is listening */
	DROP_PROXY_BYPASS = 13,		/* needs the proxy but arrived without having passed it */
	DROP_PROXY_PORT = 14,		/* addressed to the proxy's own port */
	DROP_SERVICE_UNTRANSLATED = 15,	/* addressed to a service past the socket hook */
	DROP_SERVICE_NO_BACKEND = 16,	/* the service has no ready endpoint */
	DROP_UNKNOWN_PROTOCOL = 17,	/* neither IPv4, IPv6 nor ARP, or an L4 protocol that no rule can name */
	DROP_SPOOFED_FROM_NET = 18,	/* came from the network with an address of this node or its pods */
	DROP_POLICY_CHANGED = 19,	/* a live flow that policy no longer allows */
	DROP_NEEDS_PROXY_NOW = 20,	/* a live direct flow that now needs the proxy: reset */
	DROP_REDIRECT_FULL = 21,	/* the redirect record could not be written */
	DROP_AGENT_PORT = 22,		/* a pod talking to a port of the agent */
	DROP_EXTENSION_HEADER = 23,	/* IPv6 extension headers that are forbidden or too many */
	DROP_PROXY_DOWN = 24,		/* the proxy has been away for longer than its grace */
	DROP_RESET_FAILED = 25,		/* a reset or ICMP answer could not be made; the packet was dropped all the same */
	DROP_CT_SHARE = 26,		/* the pod that the flow is charged to has its share of conntrack in use */
	DROP_REDIRECT_SHARE = 27,	/* the pod opens connections through the proxy faster than one pod may */
	DROP_REASON_COUNT = 28,
};

/* ---- ipcache: address -> identity (LPM) ------------------------------------------------------------------ */

/* The prefix length stands first because the kernel's LPM trie demands it. */
struct ipcache_key {
	__u32 prefix_bits;
	__u8 addr[16];
};
_Static_assert(sizeof(struct ipcache_key) == 20, "ipcache_key");

#define IPCACHE_LOCAL 1			/* an address of this node's pods or of the node itself */

struct ipcache_entry {
	__u32 identity;
	__u32 flags;
	__u32 ifindex;			/* where a pod of this node lives, enrolled or not: host side of its veth; else 0 */
};
_Static_assert(sizeof(struct ipcache_entry) == 12, "ipcache_entry");

/* ---- endpoints ------------------------------------------------------------------------------------------- */

#define ENDPOINT_HAS_V4 1
#define ENDPOINT_HAS_V6 2
/* 4: retired */

/* A pod's attachment. One write of this entry flips policy: set and epoch always change together. */
struct endpoint_entry {
	__u32 ifindex;			/* host side of the pod's veth, in the node's namespace */
	__u32 policy_set;		/* 0: none, everything is denied */
	__u32 epoch;			/* grows with each flip; conntrack entries of an older one ask again */
	__u32 flags;
	__u32 identity4;		/* identity of addr4; differs from identity6 only where an ipBlock says so */
	__u32 identity6;
	__u8 addr4[16];
	__u8 addr6[16];
	__u64 netns_cookie;
};
_Static_assert(sizeof(struct endpoint_entry) == 64, "endpoint_entry");

/* Addresses of this node -> endpoint; 0: the node's own, or those of a pod that is not enrolled. */
struct addr_key {
	__u8 addr[16];
};
_Static_assert(sizeof(struct addr_key) == 16, "addr_key");

/* ---- policy ---------------------------------------------------------------------------------------------- */

/*
 * What a set says of one peer in one direction is a chain: steps in the order of protocol and port, each of which holds
 * until the next one begins. A port range costs two steps, however wide. A chain of up to POLICY_STEPS lies in one page,
 * page 0, so that it is found by one exact lookup and written by one write; a longer one is a tree of pages, at most
 * POLICY_LEVELS deep, which is enough for every port of every protocol that has ports. No page 0: nothing is said. Any
 * other page that is missing: deny.
 */
struct policy_key {
	__u32 set;
	__u32 identity;
	__u16 page;
	__u8 direction;
	__u8 pad;
};
_Static_assert(sizeof(struct policy_key) == 12, "policy_key");

#define POLICY_STEPS 7
#define POLICY_LEVELS 7

/*
 * `begin` is protocol << 24 | port << 8 | flags, ascending, POLICY_NO_STEP behind the last one; numbers of this machine,
 * so that a step is found by comparing. The first step of page 0 begins at 0. With POLICY_MORE, `rules` is the page that
 * goes on from there. 56 bytes: one more step would cost each element of the hash half its size again.
 */
struct policy_page {
	__u32 begin[7];
	__u32 rules[7];			/* numbers of sets of rules, for the record; 0: none */
};
_Static_assert(sizeof(struct policy_page) == 56, "policy_page");

#define POLICY_NO_STEP 4294967295

/*
 * Two chains are asked, the peer's and IDENTITY_ANY's; the flags of the two steps are united:
 * DENY -> deny; HTTP_DENY with an allow -> proxy; ALLOW -> allow; HTTP_ALLOW -> proxy; nothing -> deny (default).
 * A direction that is not default deny carries ALLOW|DEFAULT in every step of IDENTITY_ANY's chain.
 */
#define POLICY_DENY 1
#define POLICY_ALLOW 2
#define POLICY_HTTP_ALLOW 4
#define POLICY_HTTP_DENY 8
#define POLICY_DEFAULT 16		/* the allow is the default of a direction that no policy selects */
#define POLICY_FINAL 32			/* of a peer's step: IDENTITY_ANY's chain says nothing on its ports, so is not asked */
#define POLICY_MORE 128			/* no answer, but the way to the page that has it */

/* ---- conntrack ------------------------------------------------------------------------------------------- */

/*
 * Keyed by endpoint and direction besides the tuple: one flow between two pods of a node has two entries, and the
 * client's leg and the proxy's transparently bound leg can have the same five numbers. The tuple is the one of the
 * flow's first packet; answers are looked up with the ends exchanged and the direction turned.
 * ICMP echo: sport is the identifier, dport 0.
 */
struct ct_key {
	__u32 endpoint;
	__u8 direction;
	__u8 protocol;
	__be16 sport;
	__be16 dport;
	__u16 pad;
	__u8 saddr[16];
	__u8 daddr[16];
};
_Static_assert(sizeof(struct ct_key) == 44, "ct_key");

#define CT_PROXIED 1			/* goes through the proxy; otherwise direct */
#define CT_SEEN_REPLY 2
#define CT_FIN_FORWARD 4
#define CT_FIN_REPLY 8
#define CT_RESET 16
#define CT_UPSTREAM 32			/* the proxy's own leg towards this endpoint: authorised by the proxy */

struct ct_entry {
	__u64 created_ns;		/* CLOCK_MONOTONIC, as are all kernel times */
	__u64 expires_ns;
	__u64 packets;
	__u64 bytes;
	__u32 epoch;			/* of the endpoint when policy was last asked */
	__u32 flags;
	__u32 peer_identity;
	__u32 rules_peer;
	__u32 rules_any;
	__u32 service;
};
_Static_assert(sizeof(struct ct_entry) == 56, "ct_entry");

/* ---- shares: no pod takes so much of its node's tables that the others go without ------------------------ */

/*
 * Index: the endpoint's number; 0 is what belongs to no pod. Written by the programs alone. Counts only grow (and wrap).
 * A rate is one time: until when is paid. Each use moves it on by its price, and it may be so far ahead of now.
 */
#define ENDPOINT_NUMBERS 65536

struct endpoint_spent {
	__u64 allows_ns;		/* records of allowed flows, while the ring of records fills up */
	__u64 denials_ns;		/* records of denials, likewise */
	__u64 redirects_ns;		/* redirect records */
	__u64 sockets_ns;		/* sockets whose service is remembered */
	__u32 opened;			/* conntrack entries that were made for flows which the pod opened */
	__u32 received;			/* the same, for flows from outside the node to it */
	__u32 unrecorded;		/* records of what it sent (or, from outside, was sent) that found no room */
	__u32 pad;
};
_Static_assert(sizeof(struct endpoint_spent) == 48, "endpoint_spent");

/* The same index; how many of those entries are gone again. Written by the agent alone, each time it has walked. */
struct endpoint_freed {
	__u32 opened;
	__u32 received;
};
_Static_assert(sizeof(struct endpoint_freed) == 8, "endpoint_freed");

/* ---- services -------------------------------------------------------------------------------------------- */

/*
 * Port 0 with protocol 0 stands for the address as a whole: it tells tc and the socket hooks that the address belongs
 * to a service, whatever the port. Its entry has no backends, so an unknown port of a service is refused.
 */
struct service_key {
	__u8 addr[16];
	__be16 port;
	__u8 protocol;
	__u8 pad;
};
_Static_assert(sizeof(struct service_key) == 20, "service_key");

/* Backends stand at backend_base .. backend_base + backend_count - 1; one write of this entry moves to a new block. */
struct service_entry {
	__u32 service;			/* number that flow records carry */
	__u32 backend_base;
	__u32 backend_count;		/* 0: refuse (no endpoints) */
	__u32 flags;
};
_Static_assert(sizeof(struct service_entry) == 16, "service_entry");

struct backend_entry {
	__u8 addr[16];
	__be16 port;
	__u16 pad;
};
_Static_assert(sizeof(struct backend_entry) == 20, "backend_entry");

/* From a socket and the backend it talks to, back to the service that the application named. */
struct sockrev_key {
	__u64 cookie;
	__u8 addr[16];
	__be16 port;
	__u8 protocol;
	__u8 pad[5];
};
_Static_assert(sizeof(struct sockrev_key) == 32, "sockrev_key");

struct sockrev_entry {
	__u8 addr[16];
	__be16 port;
	__u16 pad;
	__u32 service;
};
_Static_assert(sizeof(struct sockrev_entry) == 24, "sockrev_entry");

/* From a TCP connection that leaves a pod to the service that the application named; written when it connects. */
struct svcflow_key {
	__u32 endpoint;
	__be16 sport;
	__be16 dport;
	__u8 saddr[16];
	__u8 daddr[16];
};
_Static_assert(sizeof(struct svcflow_key) == 40, "svcflow_key");

struct svcflow_entry {
	__u32 service;
	__u32 pad;
};
_Static_assert(sizeof(struct svcflow_entry) == 8, "svcflow_entry");

/* ---- redirect: what the proxy must know of an accepted connection ---------------------------------------- */

/* As accept() shows it: the peer's address, then the local address (the destination after translation). */
struct redirect_key {
	__u8 saddr[16];
	__u8 daddr[16];
	__be16 sport;
	__be16 dport;
};
_Static_assert(sizeof(struct redirect_key) == 36, "redirect_key");

#define REDIRECT_EGRESS 1		/* the source is a pod of this node: enforce its egress */
#define REDIRECT_INGRESS 2		/* the destination is a pod of this node: enforce its ingress */

/*
 * The proxy reads who is at both ends and which pods of this node enforce. Sets and epochs are for people: they say with
 * `weft map dump redirect` under which policy the kernel handed the connection over. The proxy asks the one in force.
 */
struct redirect_record {
	__u64 time_ns;
	__u32 src_identity;
	__u32 dst_identity;
	__u32 src_endpoint;		/* 0 where not of this node */
	__u32 dst_endpoint;
	__u32 src_set;
	__u32 dst_set;
	__u32 src_epoch;
	__u32 dst_epoch;
	__u32 service;
	__u32 flags;
};
_Static_assert(sizeof(struct redirect_record) == 48, "redirect_record");

/* ---- fragments ------------------------------------------------------------------------------------------- */

struct frag_key {
	__u8 saddr[16];
	__u8 daddr[16];
	__u32 id;
	__u8 protocol;
	__u8 pad[3];
};
_Static_assert(sizeof(struct frag_key) == 40, "frag_key");

/* The ports of the first fragment, so that later ones are the same flow. Written only after an allow. */
struct frag_entry {
	__u64 expires_ns;
	__be16 sport;
	__be16 dport;
	__u32 pad;
};
_Static_assert(sizeof(struct frag_entry) == 16, "frag_entry");

/* ---- events and counters --------------------------------------------------------------------------------- */

#define EVENT_REPLY_RESET 1		/* both ends were told */
/* 2, 4: retired */

/* One decision. Allowed flows give one when they begin, denied packets one each. */
struct flow_event {
	__u64 time_ns;
	__u32 endpoint;
	__u32 peer_endpoint;		/* 0 where the peer is not of this node */
	__u32 src_identity;
	__u32 dst_identity;
	__u32 policy_set;
	__u32 rules_peer;
	__u32 rules_any;
	__u32 service;
	__u32 flags;
	__u16 reason;
	__u8 verdict;
	__u8 direction;
	__u8 protocol;
	__u8 tcp_flags;
	__be16 sport;
	__be16 dport;
	__u16 bytes;
	__u8 saddr[16];
	__u8 daddr[16];
};
_Static_assert(sizeof(struct flow_event) == 88, "flow_event");

/* Index of the per-CPU counter array: reason * 2 + direction (forwarded packets under DROP_NONE). */
struct counter {
	__u64 packets;
	__u64 bytes;
};
_Static_assert(sizeof(struct counter) == 16, "counter");

/* Index of the per-CPU array of single counters. */
enum gauge {
	GAUGE_EVENTS_LOST = 0,
	GAUGE_REDIRECTED = 1,
	GAUGE_RESETS_SENT = 2,
	GAUGE_ICMP_SENT = 3,
	GAUGE_ICMP_SUPPRESSED = 4,
	GAUGE_CT_CREATED = 5,
	GAUGE_SERVICE_TRANSLATED = 6,
	GAUGE_SERVICES_FORGOTTEN = 7,	/* translated, but the socket will not hear its service's address again */
	GAUGE_COUNT = 8,
};

/* Limits the ICMP answers of a node: one entry, index 0. */
struct token_bucket {
	__u64 time_ns;			/* when tokens were last added */
	__u64 tokens;
};
_Static_assert(sizeof(struct token_bucket) == 16, "token_bucket");

/* ---- configuration --------------------------------------------------------------------------------------- */

#define CONFIG_PROXY_UP 1		/* clear: traffic that needs L7 is reset at once */
#define CONFIG_DROP_SILENTLY 2		/* deny feedback: drop */

/* One entry, index 0. Marks live inside mark_mask, clear of kube-proxy's, Calico's and Cilium's bits. */
struct node_config {
	__u32 flags;
	__u32 mark_mask;
	__u32 mark_to_proxy;		/* packet -> local table (ip rule) */
	__u32 mark_from_proxy;		/* the proxy's upstream sockets */
	__u32 mark_own_answer;		/* resets and ICMP that the programs made themselves */
	__be16 proxy_port;		/* of the listeners on 127.0.0.1 and ::1 in the node's namespace */
	__be16 agent_port;
	__u32 icmp_per_second;
	__u32 tcp_established_s;	/* conntrack life times */
	__u32 tcp_opening_s;
	__u32 tcp_closing_s;
	__u32 udp_s;
	__u32 icmp_s;
	__u32 flows_per_pod;		/* conntrack entries for flows that one pod opened; as many for those it received */
};
_Static_assert(sizeof(struct node_config) == 52, "node_config");

/* ---- fast path -------------------------------------------------------------------------------------------- */

/*
 * One entry, index 0. Until this moment packets of known direct flows may pass by the node's IP stack. The agent writes
 * it anew every few seconds while it finds nothing there that such a packet would miss (netfilter, routing rules, ...):
 * an agent that is gone cannot vouch for that, so its word runs out.
 */
struct fast_path {
	__u64 until_ns;
	__u32 uplinks[4];		/* ifindexes that it may send out of; 0: none */
};
_Static_assert(sizeof(struct fast_path) == 24, "fast_path");

/* By ifindex: the veths whose other end is in a pod's namespace, so that a packet can be put into that end. */
struct veth_entry {
	__u8 pod_mac[6];
	__u8 node_mac[6];
};
_Static_assert(sizeof(struct veth_entry) == 12, "veth_entry");

/* One entry, index 0: which unit and which layouts the pinned programs were made from. */
struct datapath_meta {
	__u8 unit_sha256[32];
	__u8 layout_sha256[32];
};
_Static_assert(sizeof(struct datapath_meta) == 64, "datapath_meta");

/* One entry per map: the hash of its key's and value's fields, so that a changed layout moves only what it must. */
struct map_meta {
	__u8 name[16];
	__u8 fields_sha256[32];
};
_Static_assert(sizeof(struct map_meta) == 48, "map_meta");

#endif
