/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who listens at this address, in the node's namespace? Asked by the kernel's TCP when no connection has the packet's
 * tuple, and for a SYN that meets a TIME_WAIT socket: TCP takes that socket out of the way and looks for a listener by
 * the packet's own addresses, where nobody listens. For what tc hands over at this moment the answer is the proxy;
 * everything else goes on as if this program did not exist.
 */
#define RECORD_FRESH_NS 1000000000ULL	/* tc wrote the record in the same softirq; older ones speak of the past */

int sk_lookup(struct bpf_sk_lookup *ctx)
{
	struct redirect_key key __attribute__((aligned(8))) = {};
	u32 *source = (u32 *)key.saddr, *destination = (u32 *)key.daddr;
	struct redirect_record *record;
	struct bpf_sock *listener;
	u32 index = LISTENER_V4;
	long error;

	if (ctx->protocol != IPPROTO_TCP)
		return SK_PASS;
	if (ctx->family == FAMILY_V6) {
		index = LISTENER_V6;
		source[0] = ctx->remote_ip6[0];
		source[1] = ctx->remote_ip6[1];
		source[2] = ctx->remote_ip6[2];
		source[3] = ctx->remote_ip6[3];
		destination[0] = ctx->local_ip6[0];
		destination[1] = ctx->local_ip6[1];
		destination[2] = ctx->local_ip6[2];
		destination[3] = ctx->local_ip6[3];
	} else {
		mapped_addr(source, ctx->remote_ip4);
		mapped_addr(destination, ctx->local_ip4);
	}
	key.sport = ctx->remote_port;
	key.dport = bpf_htons(ctx->local_port);
	record = mesh_redirect.lookup(&key);
	if (!record || record->time_ns + RECORD_FRESH_NS < bpf_ktime_get_ns())
		return SK_PASS;
	/* From here on it is the proxy or nobody: a wildcard listener of the node must not get a pod's connection. */
	listener = (struct bpf_sock *)mesh_listeners.lookup(&index);
	if (!listener)
		return SK_DROP;
	error = bpf_sk_assign((void *)ctx, listener, BPF_SK_LOOKUP_F_REPLACE);
	bpf_sk_release(listener);
	return error ? SK_DROP : SK_PASS;
}
