// Transfer: one HTTP/1.1 exchange with an API server over libcurl, on a connection kept in a small pool.
//
// Errors: no connection, broken stream: unavailable; deadline: timeout; a reply larger than the caller's limit:
// exhausted; stop asked for or on_data said no: success with what came so far. Threads: Pool any; a Transfer belongs to
// one. TLS, unix sockets and ready-made sockets (Endpoint::dial) are settled here; nobody above sees curl.
#pragma once
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "kube/client.h"

namespace weft::kube {

inline constexpr size_t reply_bytes_max = 256u << 20;  // one page of a list

struct Exchange {
    std::string_view method = "GET";
    std::string target;  // path and query
    std::string_view body;
    std::string_view content_type;
    std::string_view accept = "application/json";
    int deadline_s = request_timeout_s;  // 0 = none
    std::stop_token stop;
    // Body chunks of a 2xx reply as they come; false ends the exchange. Empty: the body is collected. Other replies are
    // always collected.
    std::function<bool(std::string_view)> on_data;
};

class ConnectionPool {
public:
    static constexpr size_t idle_max = 8;

    explicit ConnectionPool(Endpoint endpoint);
    ~ConnectionPool();
    Result<RawReply> run(const Exchange& exchange);

private:
    struct State;
    std::unique_ptr<State> state_;
};

std::string query_escape(std::string_view text);

}  // namespace weft::kube
