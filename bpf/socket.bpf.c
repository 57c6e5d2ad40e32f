// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* connect() to a Service over TCP: translated once, at the socket, so that its packets need no translation at all.
 *
 * The namespace's cookie names the endpoint; a socket of any other namespace passes untouched, as does everything
 * that is no frontend, a `local` one, one without slots (pod_egress answers with RST), or one that is not open to this
 * endpoint (pod_egress drops and counts). The node's own sockets are the host endpoint's: that is how a nodePort is
 * reached on the node itself, whose packets to its own address pass no interface of ours. getpeername() shows what
 * was asked for. connect6 sees the mapped addresses of IPv6 sockets. UDP is translated per packet, where a flow can
 * leave a dead backend.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/affinity.h"
#include "lib/maps.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define IPPROTO_MPTCP_NUMBER 262
#define SOCK_STREAM_NUMBER 1
#define PASS 1 /* what a cgroup address program returns to let the call go on */

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, int);
	__type(value, struct peer_name);
} WEFT_MAP_NAME(peer_names) SEC(".maps");

static __always_inline const struct endpoint *socket_endpoint(struct bpf_sock_addr *ctx)
{
	const __u64 cookie = bpf_get_netns_cookie(ctx);
	const __u32 *id = bpf_map_lookup_elem(MAP(netns), &cookie);

	return id ? bpf_map_lookup_elem(MAP(endpoint), id) : NULL;
}

static __always_inline __u32 random_backend(const struct frontend *frontend)
{
	const struct slot_key slot = {
		.service = frontend->service,
		.slot = bpf_get_prandom_u32() % frontend->slots,
	};
	const __u32 *id = bpf_map_lookup_elem(MAP(slots), &slot);

	return id ? *id : 0;
}

static __always_inline __u32 choose(const struct frontend *frontend, __u32 vpc, const struct ip_addr *client)
{
	if (!frontend->affinity_s)
		return random_backend(frontend);
	const struct affinity_key key = { .vpc = vpc, .service = frontend->service, .client = *client };
	const __u32 now = bpf_ktime_get_coarse_ns() / 1000000000ull;
	const __u32 id = affinity_of(&key, frontend->affinity_s, now) ?: random_backend(frontend);

	affinity_keep(&key, id, now);
	return id;
}

/* The address that this endpoint will speak from to reach `to`. */
static __always_inline const struct ip_addr *client_address(const struct endpoint *endpoint, const struct ip_addr *to)
{
	return !to->word[0] && !to->word[1] && to->word[2] == bpf_htonl(0xffff) ? &endpoint->v4 : &endpoint->v6;
}

static __always_inline bool is_tcp(const struct bpf_sock_addr *ctx)
{
	return ctx->type == SOCK_STREAM_NUMBER &&
	       (ctx->protocol == IPPROTO_TCP || ctx->protocol == IPPROTO_MPTCP_NUMBER);
}

/* The backend for a connect() to this address, or NULL: leave it alone. */
static __always_inline const struct backend *translate_connect(struct bpf_sock_addr *ctx, const struct ip_addr *address)
{
	const struct endpoint *endpoint = is_tcp(ctx) ? socket_endpoint(ctx) : NULL;

	if (!endpoint)
		return NULL;
	const struct frontend_key key = {
		.vpc = endpoint->vpc,
		.address = *address,
		.port = ctx->user_port,
		.protocol = IPPROTO_TCP,
	};
	const struct frontend *frontend = bpf_map_lookup_elem(MAP(frontends), &key);

	if (!frontend || frontend->flags & FRONTEND_LOCAL || !frontend->slots)
		return NULL;
	const struct ip_addr *client = client_address(endpoint, address);

	if (frontend->flags & FRONTEND_SOURCE_RANGES && !(endpoint->flags & ENDPOINT_HOST) &&
	    !is_in_source_ranges(frontend->service, client))
		return NULL;
	const __u32 id = choose(frontend, endpoint->vpc, client);
	const struct backend *backend = bpf_map_lookup_elem(MAP(backends), &id);

	if (!backend || backend->vpc != endpoint->vpc)
		return NULL;
	struct peer_name *name =
		bpf_sk_storage_get(&WEFT_MAP_NAME(peer_names), ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (name)
		*name = (struct peer_name){ *address, backend->address, ctx->user_port, backend->port };
	return backend;
}

/* What the socket asked for, if this is still the connection that was translated. */
static __always_inline const struct peer_name *asked_for(struct bpf_sock_addr *ctx, const struct ip_addr *address)
{
	const struct peer_name *name =
		is_tcp(ctx) ? bpf_sk_storage_get(&WEFT_MAP_NAME(peer_names), ctx->sk, NULL, 0) : NULL;

	if (!name || name->backend_port != ctx->user_port || name->backend_address.word[0] != address->word[0] ||
	    name->backend_address.word[1] != address->word[1] || name->backend_address.word[2] != address->word[2] ||
	    name->backend_address.word[3] != address->word[3])
		return NULL;
	return name;
}

static __always_inline struct ip_addr address_v4(struct bpf_sock_addr *ctx)
{
	return (struct ip_addr){ .word = { 0, 0, bpf_htonl(0xffff), ctx->user_ip4 } };
}

static __always_inline struct ip_addr address_v6(struct bpf_sock_addr *ctx)
{
	return (struct ip_addr){ .word = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] } };
}

static __always_inline void set_v4(struct bpf_sock_addr *ctx, const struct ip_addr *address, __be16 port)
{
	ctx->user_ip4 = address->word[3];
	ctx->user_port = port;
}

static __always_inline void set_v6(struct bpf_sock_addr *ctx, const struct ip_addr *address, __be16 port)
{
	ctx->user_ip6[0] = address->word[0];
	ctx->user_ip6[1] = address->word[1];
	ctx->user_ip6[2] = address->word[2];
	ctx->user_ip6[3] = address->word[3];
	ctx->user_port = port;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	const struct ip_addr address = address_v4(ctx);
	const struct backend *backend = translate_connect(ctx, &address);

	if (backend)
		set_v4(ctx, &backend->address, backend->port);
	return PASS;
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	const struct ip_addr address = address_v6(ctx);
	const struct backend *backend = translate_connect(ctx, &address);

	if (backend)
		set_v6(ctx, &backend->address, backend->port);
	return PASS;
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	const struct ip_addr address = address_v4(ctx);
	const struct peer_name *name = asked_for(ctx, &address);

	if (name)
		set_v4(ctx, &name->asked_address, name->asked_port);
	return PASS;
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	const struct ip_addr address = address_v6(ctx);
	const struct peer_name *name = asked_for(ctx, &address);

	if (name)
		set_v6(ctx, &name->asked_address, name->asked_port);
	return PASS;
}
