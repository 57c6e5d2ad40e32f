// gRPC health: one Check of the standard service grpc.health.v1.Health over plain HTTP/2: as much of HTTP/2 as one
// request needs, and no more. Headers of the answer are not decoded: its one message says all. Errors: unavailable (not
// SERVING, or no status at all), invalid (not HTTP/2). Source: RFC 9113; the gRPC health protocol.
#pragma once
#include <string>

#include "base/result.h"
#include "io/stream.h"

namespace weft::runtime {

Status ask_grpc_health(io::Stream& stream, const std::string& service, const std::string& authority);

}  // namespace weft::runtime
