/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket hooks of the cgroup that holds the node's pods. They turn a service's address into a backend's, once per
 * connection (unconnected UDP: per message), and tell a denied connect() so at once, instead of by a timeout. They are
 * feedback: raw sockets pass them by, and tc is the authority.
 *
 * No scratch memory here: these run in process context and can be preempted by one another.
 */
#define PROTOCOL_MPTCP 262
#define SOCKET_STREAM 1
#define ERROR_CONNECTION_REFUSED 111

struct sock_target {
	u8 addr[16];
	__be16 port;
	u8 protocol;
	u8 translated;
	u32 service;
};

static __always_inline u8 sock_protocol(const struct bpf_sock_addr *ctx)
{
	u32 protocol = ctx->protocol;

	return protocol == PROTOCOL_MPTCP && ctx->type == SOCKET_STREAM ? IPPROTO_TCP : protocol;
}

static __always_inline void sock_event(const struct endpoint_entry *ep, u32 id, const struct sock_target *target,
				       const struct policy_answer *answer, u32 peer, u16 reason)
{
	bool is_v4 = is_mapped(target->addr);
	u64 now = bpf_ktime_get_ns();
	struct flow_event *event = event_begin(id, VERDICT_DENY, now);

	if (!event)
		return;
	event->time_ns = now;
	event->endpoint = id;
	event->peer_endpoint = endpoint_by_addr(target->addr);
	event->src_identity = endpoint_identity(ep, is_v4);
	event->dst_identity = peer;
	event->policy_set = ep->policy_set;
	event->rules_peer = answer->rules_peer;
	event->rules_any = answer->rules_any;
	event->service = target->service;
	event->flags = 0;
	event->reason = reason;
	event->verdict = VERDICT_DENY;
	event->direction = DIR_EGRESS;
	event->protocol = target->protocol;
	event->tcp_flags = 0;
	event->sport = 0;
	event->dport = target->port;
	event->bytes = 0;
	copy_addr(event->saddr, is_v4 ? ep->addr4 : ep->addr6);
	copy_addr(event->daddr, target->addr);
	mesh_events.ringbuf_submit(event, 0);
}

/*
 * Remember where the socket thinks it is talking to, for getpeername(), recvmsg() and the flow records. A pod that opens
 * sockets faster than one pod may is not told any more: better that it is confused than that the others are.
 */
static __always_inline void sock_remember(struct bpf_sock_addr *ctx, u32 id, const struct sock_target *target,
					  const struct backend_entry *backend, u32 service)
{
	struct sockrev_key key __attribute__((aligned(8))) = { .port = backend->port, .protocol = target->protocol };
	struct sockrev_entry entry __attribute__((aligned(8))) = { .port = target->port, .service = service };
	struct sockrev_entry *known;

	key.cookie = bpf_get_socket_cookie(ctx);
	copy_addr(key.addr, backend->addr);
	copy_addr(entry.addr, target->addr);
	known = mesh_sockrev.lookup(&key);
	if (known && known->service == service && known->port == entry.port && same_addr(known->addr, entry.addr))
		return;			/* one more datagram of the same socket */
	if (!share_of_sockets(id)) {
		gauge_add(GAUGE_SERVICES_FORGOTTEN);
		/* What is known of this backend is another service's: no name is better than a wrong one. */
		if (known)
			mesh_sockrev.delete(&key);
		return;
	}
	mesh_sockrev.update(&key, &entry);
}

static __always_inline int sock_refuse(const struct endpoint_entry *ep, u32 id, const struct sock_target *target)
{
	struct policy_answer answer = {};

	count(DROP_SERVICE_NO_BACKEND, DIR_EGRESS, 0);
	sock_event(ep, id, target, &answer, IDENTITY_UNKNOWN, DROP_SERVICE_NO_BACKEND);
	bpf_set_retval(-ERROR_CONNECTION_REFUSED);
	return 0;
}

/*
 * A datagram from a bound socket that answers a flow which came in: ingress policy let it begin, so egress policy is not
 * asked. (Connection-oriented answers never pass these hooks.)
 */
static __always_inline bool sock_answers(struct bpf_sock_addr *ctx, const struct endpoint_entry *ep, u32 id,
					 const struct sock_target *target)
{
	struct ct_key key __attribute__((aligned(8))) = {
		.endpoint = id,
		.direction = DIR_INGRESS,
		.protocol = target->protocol,
		.sport = target->port,
	};
	struct bpf_sock *sk = ctx->sk;
	u32 port;

	if (target->protocol != IPPROTO_UDP || !sk)
		return false;
	port = sk->src_port;
	key.dport = bpf_htons(port);
	copy_addr(key.saddr, target->addr);
	copy_addr(key.daddr, is_mapped(target->addr) ? ep->addr4 : ep->addr6);
	return ct_live(mesh_ct.lookup(&key), bpf_ktime_get_ns()) != NULL;
}

/* 1: go on (to what `target` now says); 0: fail the call. */
static __always_inline int sock_decide(struct bpf_sock_addr *ctx, struct sock_target *target, bool connects)
{
	struct node_config *cfg = node_config_get();
	struct policy_answer answer = {};
	struct service_entry *service;
	struct backend_entry *backend;
	struct endpoint_entry *ep;
	u32 id, peer;
	int verdict;

	id = endpoint_by_netns(bpf_get_netns_cookie(ctx));
	if (!id || !cfg)
		return 1;		/* not one of our pods; or tc will drop it */
	ep = endpoint_get(id);
	if (!ep || is_loopback(target->addr) || is_unspecified(target->addr) || is_multicast(target->addr) ||
	    endpoint_owns(ep, target->addr))
		return 1;
	service = service_lookup(target->addr, target->port, target->protocol);
	if (!service && service_owns(target->addr)) {
		/* Resolvers connect() datagram sockets only to learn a source address, and send nothing. */
		if (connects && target->protocol == IPPROTO_UDP)
			return 1;
		return sock_refuse(ep, id, target);
	}
	if (service) {
		target->service = service->service;
		backend = service_backend(service);
		if (!backend)
			return sock_refuse(ep, id, target);
		sock_remember(ctx, id, target, backend, service->service);
		copy_addr(target->addr, backend->addr);
		target->port = backend->port;
		target->translated = 1;
		gauge_add(GAUGE_SERVICE_TRANSLATED);
		if (endpoint_owns(ep, target->addr))
			return 1;	/* a pod and itself, by way of its own service */
	}
	peer = ipcache_identity(target->addr);
	verdict = policy_verdict(ep->policy_set, DIR_EGRESS, peer, target->protocol, target->port, &answer);
	/* An unknown peer may be news that are on their way: tc drops it silently, and the next try may pass. */
	if (verdict > 0 || verdict == -DROP_UNKNOWN_PEER || sock_answers(ctx, ep, id, target))
		return 1;
	if (cfg->flags & CONFIG_DROP_SILENTLY)
		return 1;		/* whoever wants silence gets it from tc */
	count(-verdict, DIR_EGRESS, 0);
	sock_event(ep, id, target, &answer, peer, -verdict);
	return 0;
}

static __always_inline int sock_towards4(struct bpf_sock_addr *ctx, bool connects)
{
	struct sock_target target __attribute__((aligned(8))) = {};
	int go;

	target.port = ctx->user_port;
	target.protocol = sock_protocol(ctx);
	mapped_addr(target.addr, ctx->user_ip4);
	go = sock_decide(ctx, &target, connects);
	if (go && target.translated) {
		ctx->user_ip4 = *(u32 *)&target.addr[12];
		ctx->user_port = target.port;
	}
	return go;
}

static __always_inline int sock_towards6(struct bpf_sock_addr *ctx, bool connects)
{
	struct sock_target target __attribute__((aligned(8))) = {};
	u32 *addr = (u32 *)target.addr;
	int go;

	target.port = ctx->user_port;
	target.protocol = sock_protocol(ctx);
	addr[0] = ctx->user_ip6[0];
	addr[1] = ctx->user_ip6[1];
	addr[2] = ctx->user_ip6[2];
	addr[3] = ctx->user_ip6[3];
	go = sock_decide(ctx, &target, connects);
	if (go && target.translated) {
		ctx->user_ip6[0] = addr[0];
		ctx->user_ip6[1] = addr[1];
		ctx->user_ip6[2] = addr[2];
		ctx->user_ip6[3] = addr[3];
		ctx->user_port = target.port;
	}
	return go;
}

/* The service behind a backend that this socket talks to. */
static __always_inline struct sockrev_entry *sock_recall(struct bpf_sock_addr *ctx, const void *addr)
{
	struct sockrev_key key __attribute__((aligned(8))) = {};

	key.cookie = bpf_get_socket_cookie(ctx);
	key.port = ctx->user_port;
	key.protocol = sock_protocol(ctx);
	copy_addr(key.addr, addr);
	return mesh_sockrev.lookup(&key);
}

static __always_inline int sock_back4(struct bpf_sock_addr *ctx)
{
	u8 addr[16] __attribute__((aligned(8)));
	struct sockrev_entry *entry;

	mapped_addr(addr, ctx->user_ip4);
	entry = sock_recall(ctx, addr);
	if (entry) {
		ctx->user_ip4 = *(u32 *)&entry->addr[12];
		ctx->user_port = entry->port;
	}
	return 1;
}

static __always_inline int sock_back6(struct bpf_sock_addr *ctx)
{
	u32 addr[4] __attribute__((aligned(8)));
	struct sockrev_entry *entry;

	addr[0] = ctx->user_ip6[0];
	addr[1] = ctx->user_ip6[1];
	addr[2] = ctx->user_ip6[2];
	addr[3] = ctx->user_ip6[3];
	entry = sock_recall(ctx, addr);
	if (entry) {
		u32 *service = (u32 *)entry->addr;

		ctx->user_ip6[0] = service[0];
		ctx->user_ip6[1] = service[1];
		ctx->user_ip6[2] = service[2];
		ctx->user_ip6[3] = service[3];
		ctx->user_port = entry->port;
	}
	return 1;
}

int sock_connect4(struct bpf_sock_addr *ctx)
{
	return sock_towards4(ctx, true);
}

int sock_connect6(struct bpf_sock_addr *ctx)
{
	return sock_towards6(ctx, true);
}

int sock_sendmsg4(struct bpf_sock_addr *ctx)
{
	return sock_towards4(ctx, false);
}

int sock_sendmsg6(struct bpf_sock_addr *ctx)
{
	return sock_towards6(ctx, false);
}

int sock_recvmsg4(struct bpf_sock_addr *ctx)
{
	return sock_back4(ctx);
}

int sock_recvmsg6(struct bpf_sock_addr *ctx)
{
	return sock_back6(ctx);
}

int sock_getpeer4(struct bpf_sock_addr *ctx)
{
	return sock_back4(ctx);
}

int sock_getpeer6(struct bpf_sock_addr *ctx)
{
	return sock_back6(ctx);
}
