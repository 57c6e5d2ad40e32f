/* Reclaim: room among the established rows, without ever taking a living one, whether the agent runs or not.
 *
 * A hand goes round in `ct_ring`, a few places for each new row: where it finds a key whose row is gone or spent (expired,
 * or closed for CT_TCP_SPENT_S), the row goes and the new key takes the place. Old rows go as fast as new ones come. When there is no room all
 * the same, or an endpoint is at its quota, the hand goes on for longer. A row that found no place in the ring waits for
 * the agent's sweep. Source: ARCHITECTURE.md, the corridor; abi/conntrack.h.
 */
#ifndef WEFT_LIB_RECLAIM_H
#define WEFT_LIB_RECLAIM_H

#include "lib/track.h"

#define E2BIG_NUMBER 7
#define EEXIST_NUMBER 17

/* A row came (1) or went (-1). */
static __always_inline void ct_hold(__u32 owner, __u32 owner_vpc, __u8 flags, __s64 change)
{
	const __s64 none = 0;
	__s64 *held = flags & CT_TRANSLATION_ROW ? NULL : bpf_map_lookup_elem(MAP(ct_held), &owner);
	__s64 *vpc_held = bpf_map_lookup_elem(MAP(ct_vpc_held), &owner_vpc);

	if (held)
		__sync_fetch_and_add(held, change);
	if (!vpc_held && change > 0) {
		bpf_map_update_elem(MAP(ct_vpc_held), &owner_vpc, &none, BPF_NOEXIST);
		vpc_held = bpf_map_lookup_elem(MAP(ct_vpc_held), &owner_vpc);
	}
	if (vpc_held)
		__sync_fetch_and_add(vpc_held, change);
}

/* Takes an established row away. */
static __always_inline void ct_forget(const struct ct_key *key, const struct ct_entry *entry)
{
	const __u32 owner = entry->owner;
	const __u32 owner_vpc = entry->owner_vpc;
	const __u8 flags = entry->flags;

	if (!bpf_map_delete_elem(MAP(ct_established), key)) /* another CPU may have been faster */
		ct_hold(owner, owner_vpc, flags, -1);
}

/* May go when room is wanted: expired, or of a connection that has been closed for a moment. A living one never. */
static __always_inline bool ct_is_spent(const struct ct_entry *entry, __u8 protocol)
{
	const __u32 now = now_s();

	return ct_is_old(entry, protocol, now) ||
	       (entry->state == CT_CLOSING && (__s32)(now - entry->last_seen_s) > CT_TCP_SPENT_S);
}

/* A place in the ring for this key; spent rows on the way go. 1: has one. */
__attribute__((noinline, weak)) int ct_claim(const struct ct_key *key)
{
	const __u32 zero = 0;
	__u64 *hand = bpf_map_lookup_elem(MAP(ct_hand), &zero);

	if (!key || !hand)
		return 0;
	for (int i = 0; i < CT_CLAIM_TRIES; i++) {
		const __u32 at = __sync_fetch_and_add(hand, 1) % CT_RING_MAX;
		struct ct_key *place = bpf_map_lookup_elem(MAP(ct_ring), &at);

		if (!place)
			return 0;
		const struct ct_entry *entry = bpf_map_lookup_elem(MAP(ct_established), place);

		if (entry && !ct_is_spent(entry, place->protocol))
			continue;
		if (entry)
			ct_forget(place, entry);
		*place = *key; /* torn by another CPU it names nothing, and is free again */
		return 1;
	}
	return 0;
}

/* Looks further round for a spent row: of this owner, or of this VPC, if one is named; its place stays free. 1: one went. */
__attribute__((noinline, weak)) int ct_reclaim(__u32 owner, __u32 owner_vpc)
{
	const __u32 zero = 0;
	__u64 *hand = bpf_map_lookup_elem(MAP(ct_hand), &zero);

	if (!hand)
		return 0;
	for (int i = 0; i < CT_RECLAIM_TRIES; i++) {
		const __u32 at = __sync_fetch_and_add(hand, 1) % CT_RING_MAX;
		const struct ct_key *place = bpf_map_lookup_elem(MAP(ct_ring), &at);

		if (!place)
			return 0;
		const struct ct_entry *entry = bpf_map_lookup_elem(MAP(ct_established), place);

		if (!entry || !ct_is_spent(entry, place->protocol))
			continue;
		const bool is_owners = entry->owner == owner && !(entry->flags & CT_TRANSLATION_ROW);
		const bool is_wanted = (!owner || is_owners) && (!owner_vpc || entry->owner_vpc == owner_vpc);

		ct_forget(place, entry);
		if (is_wanted)
			return 1;
	}
	return 0;
}

static __always_inline bool ct_is_at_quota(__u32 owner)
{
	const __s64 *held = bpf_map_lookup_elem(MAP(ct_held), &owner);
	const struct endpoint *endpoint = endpoint_by_id(owner);
	const __u32 quota = endpoint && endpoint->ct_quota ? endpoint->ct_quota : CT_ENDPOINT_QUOTA;

	return held && *held >= quota;
}

static __always_inline bool ct_is_vpc_at_quota(__u32 vpc)
{
	const __s64 *held = bpf_map_lookup_elem(MAP(ct_vpc_held), &vpc);
	const struct vpc_limits *limits = bpf_map_lookup_elem(MAP(vpc_limits), &vpc);
	const __u32 quota = limits && limits->ct_quota ? limits->ct_quota : CT_VPC_QUOTA;

	return held && *held >= quota;
}

/* A row among the established: 0, or why not. */
static __always_inline int ct_put_established(const struct ct_key *key, const struct ct_entry *entry)
{
	const __u32 owner = entry->owner;
	const __u32 owner_vpc = entry->owner_vpc;

	/* What is handed over to another node is nobody's of this one: its VPC answers for it. */
	if (owner && !(entry->flags & CT_TRANSLATION_ROW) && ct_is_at_quota(owner) && !ct_reclaim(owner, 0))
		return -DROP_CT_QUOTA;
	if (ct_is_vpc_at_quota(owner_vpc) && !ct_reclaim(0, owner_vpc))
		return -DROP_CT_QUOTA;
	ct_claim(key);
	long error = bpf_map_update_elem(MAP(ct_established), key, entry, BPF_NOEXIST);

	if (error == -E2BIG_NUMBER && ct_reclaim(0, 0))
		error = bpf_map_update_elem(MAP(ct_established), key, entry, BPF_NOEXIST);
	if (error == -EEXIST_NUMBER) /* another CPU was faster */
		return 0;
	if (error)
		return -DROP_CT_FULL;
	ct_hold(owner, owner_vpc, entry->flags, 1);
	return 0;
}

#endif
