// Cluster zone: the stage that answers for `cluster.local` and for the addresses of its Services, out of the VPC's
// view.
//
// SERVFAIL until the first sync and for a VPC that is not known yet, never a false NXDOMAIN. Reverse names of addresses
// outside the VPC's own CIDRs pass on; inside, what no Service has is NXDOMAIN. Every negative answer carries the SOA.
// Threads: pure. Source: spec/kubernetes.md DNS-1 … DNS-15, DNS-24.
#pragma once
#include "dns/stages.h"

namespace weft::dns {

inline constexpr unsigned cname_chain_max = 8;
// So that an answer fits 64 KiB of TCP: A and AAAA take 16 and 28 bytes, SRV with its target and address about 90.
inline constexpr size_t addresses_per_answer_max = 2000;
inline constexpr size_t srv_per_answer_max = 600;
inline constexpr uint32_t version_ttl_s = 28800;
inline constexpr std::string_view schema_version = "1.1.0";

Verdict answer_cluster_zone(const Request& request, Answer& answer);

}  // namespace weft::dns
