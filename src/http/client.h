// Client side of one blocking HTTP/1.1 exchange over a connected Stream: probes, health checks, `weft exec`.
//
// The body is read whole, at most `body_bytes_max` (exhausted beyond). 1xx heads but 101 are skipped. Errors: invalid
// when the answer is not HTTP; unavailable when it ends early; the stream's own timeouts.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"
#include "io/stream.h"

namespace weft::http {

inline constexpr size_t client_body_bytes_max = 4 * 1024 * 1024;

struct Response {
    ResponseHead head;
    std::string body;
    std::string early;  // after a 101: bytes that belong to the new protocol
};

// Writes the head (adding Content-Length when there is a body) and the body, reads one response.
Result<Response> round_trip(io::Stream& stream, RequestHead head, std::string_view body = {},
                            size_t body_bytes_max = client_body_bytes_max);

}  // namespace weft::http
