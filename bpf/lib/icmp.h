/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet becomes an ICMP error to its sender: communication administratively prohibited (RFC 1812 5.2.7.1 type 3
 * code 13; RFC 4443 3.1 type 1 code 1), with the IP header and the first eight bytes behind it.
 *
 * CHECKSUM_PARTIAL again (see reset.h): the kernel will complete a UDP checksum six bytes behind where the UDP header
 * stood, which now is the unused word of the ICMP header. With X in that place, the sum from there to the end becomes
 * ~X, so X = 0 makes the ICMPv4 message valid whatever else it holds, and X = the pseudo header's sum the ICMPv6 one.
 */
#define ICMP4_QUOTE (sizeof(struct iphdr) + 8)
#define ICMP6_QUOTE (sizeof(struct ipv6hdr) + 8)
#define UDP_CHECK_OFFSET 6

struct icmp_answer4 {
	u8 type;
	u8 code;
	u16 check;
	u16 unused;
	u16 partial_field;
	u8 quote[ICMP4_QUOTE];
};

struct icmp_answer6 {
	u8 type;
	u8 code;
	u16 check;
	u16 unused;
	u16 partial_field;
	u8 quote[ICMP6_QUOTE];
};

/* A token bucket for the whole node; racing CPUs may let a few too many pass. */
static __always_inline bool icmp_allowed(const struct packet *p, const struct node_config *cfg)
{
	u32 zero = 0;
	struct token_bucket *bucket = mesh_tokens.lookup(&zero);
	u64 elapsed, tokens;

	if (!bucket)
		return false;
	elapsed = p->now - bucket->time_ns;
	if (elapsed > SECOND_NS)
		elapsed = SECOND_NS;
	tokens = elapsed * cfg->icmp_per_second / SECOND_NS;
	if (tokens) {
		bucket->tokens += tokens;
		bucket->time_ns = p->now;
	}
	if (bucket->tokens > cfg->icmp_per_second)
		bucket->tokens = cfg->icmp_per_second;
	if (!bucket->tokens)
		return false;
	bucket->tokens -= 1;
	return true;
}

static __always_inline int icmp4_write(struct __sk_buff *skb, struct packet *p)
{
	struct icmp_answer4 answer __attribute__((aligned(8))) = { .type = 3, .code = 13 };
	u8 header[2] = { 64, IPPROTO_ICMP };
	u16 old = 0;

	if (bpf_skb_load_bytes(skb, L3, answer.quote, sizeof(answer.quote)) < 0)
		return -1;
	answer.check = ~fold(sum_words(&answer, sizeof(answer) / 4));
	if (bpf_skb_change_tail(skb, L3 + sizeof(struct iphdr) + sizeof(answer), 0) < 0)
		return -1;
	if (swap_ethernet(skb) < 0 || store_length(skb, p, sizeof(answer)) < 0 || store_addresses(skb, p, true) < 0)
		return -1;
	/* time to live and protocol: one 16-bit word of the header's sum */
	if (bpf_skb_load_bytes(skb, L3 + 8, &old, sizeof(old)) < 0)
		return -1;
	if (bpf_skb_store_bytes(skb, L3 + 8, header, sizeof(header), BPF_F_RECOMPUTE_CSUM) < 0)
		return -1;
	if (bpf_l3_csum_replace(skb, L3 + IP4_CHECK_OFFSET, old, *(u16 *)header, sizeof(old)) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, L3 + sizeof(struct iphdr), &answer, sizeof(answer), BPF_F_RECOMPUTE_CSUM);
}

static __always_inline int icmp6_write(struct __sk_buff *skb, struct packet *p, bool partial)
{
	struct icmp_answer6 answer __attribute__((aligned(8))) = { .type = 1, .code = 1 };
	u8 header[2] = { IPPROTO_ICMPV6, 64 };	/* next header, hop limit */
	u64 pseudo = pseudo_header_sum(p, IPPROTO_ICMPV6, sizeof(answer));

	if (bpf_skb_load_bytes(skb, L3, answer.quote, sizeof(answer.quote)) < 0)
		return -1;
	if (partial)
		answer.partial_field = fold(pseudo);
	answer.check = ~fold(pseudo + sum_words(&answer, sizeof(answer) / 4));
	if (bpf_skb_change_tail(skb, L3 + sizeof(struct ipv6hdr) + sizeof(answer), 0) < 0)
		return -1;
	if (swap_ethernet(skb) < 0 || store_length(skb, p, sizeof(answer)) < 0 || store_addresses(skb, p, true) < 0)
		return -1;
	if (bpf_skb_store_bytes(skb, L3 + 6, header, sizeof(header), BPF_F_RECOMPUTE_CSUM) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, L3 + sizeof(struct ipv6hdr), &answer, sizeof(answer), BPF_F_RECOMPUTE_CSUM);
}
