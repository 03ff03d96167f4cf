/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a TCP socket of a pod connects, its source port is known at last: note which service the connection is for, so
 * that tc can put it into flow records and redirect records. Decides nothing.
 */

int sock_ops(struct bpf_sock_ops *ctx)
{
	struct sockrev_key reverse __attribute__((aligned(8))) = { .protocol = IPPROTO_TCP };
	struct svcflow_key flow __attribute__((aligned(8))) = {};
	struct svcflow_entry entry = {};
	struct sockrev_entry *service;
	u32 id;

	if (ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB)
		return 1;
	id = endpoint_by_netns(bpf_get_netns_cookie(ctx));
	if (!id)
		return 1;
	if (ctx->family == FAMILY_V4) {
		mapped_addr(flow.saddr, ctx->local_ip4);
		mapped_addr(flow.daddr, ctx->remote_ip4);
	} else {
		u32 *source = (u32 *)flow.saddr, *destination = (u32 *)flow.daddr;

		source[0] = ctx->local_ip6[0];
		source[1] = ctx->local_ip6[1];
		source[2] = ctx->local_ip6[2];
		source[3] = ctx->local_ip6[3];
		destination[0] = ctx->remote_ip6[0];
		destination[1] = ctx->remote_ip6[1];
		destination[2] = ctx->remote_ip6[2];
		destination[3] = ctx->remote_ip6[3];
	}
	flow.endpoint = id;
	flow.sport = bpf_htons(ctx->local_port);
	flow.dport = bpf_htons(bpf_ntohl(ctx->remote_port));	/* kept in the upper half, in network order */
	reverse.cookie = bpf_get_socket_cookie(ctx);
	reverse.port = flow.dport;
	copy_addr(reverse.addr, flow.daddr);
	service = mesh_sockrev.lookup(&reverse);
	if (!service)
		return 1;
	entry.service = service->service;
	mesh_svcflow.update(&flow, &entry);
	return 1;
}
