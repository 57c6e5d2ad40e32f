// Certificate: the instance's own certificate authority and the API server's certificate, made once and kept in
// state_dir (ca.pem, ca.key, server.pem, server.key; keys 0600). ECDSA P-256. A certificate that ends within a month,
// or does not name what it must, is made anew with the same CA. Threads: one. Source: design.md §2 "API server: TLS
// (own CA...)".
#pragma once
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/instance.h"
#include "base/result.h"

namespace weft::apiserver {

struct ServerCertificate {
    std::string ca_pem, certificate_pem, key_pem;
};

// It names `addresses` too: where each VPC's `kubernetes.default` is reached.
Result<ServerCertificate> open_certificate(const Instance& instance, const std::vector<std::string>& addresses = {},
                                           const Clock& clock = system_clock());

}  // namespace weft::apiserver
