// Scrub: of an upstream's reply, what may be passed on and kept: what leads from the question to its answer.
//
//   answers      the records of the name asked for, and of what its CNAMEs and DNAMEs lead to
//   authorities  NS and SOA of a zone above one of those names, with the proofs that belong to them
//   additionals  addresses of hosts that a kept record names
//
// Nothing that claims to be in `zone`, which is ours alone, and nothing of another class. Order is kept. Pure.
// Source: RFC 2181 §5.4.1 (trust), RFC 5452 §6; spec/kubernetes.md DNS-26 (out-of-bailiwick data).
#pragma once
#include "dns_wire/message.h"

namespace weft::dns {

inline constexpr size_t alias_chain_max = 16;

void scrub(dns_wire::Message& reply, const dns_wire::Question& question, const dns_wire::Name& zone);

}  // namespace weft::dns
