// Upstreams: the servers a forwarder may ask, whose turn it is, and which of them rest.
//
//   policy       asked first
//   sequential   the first of the list that is well
//   round_robin  each in turn
//   random       any
//
// A server that fails failures_max times in a row rests: it is asked only when nobody else is left, and a probe looks
// after it rest_first later, then at doubled times up to rest_max, until it answers. One whose questions come back to us
// is not asked at all. Limits: upstreams_max. Threads: values of one hand. Source: spec/kubernetes.md DNS-26.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "io/socket.h"

namespace weft::dns {

enum class Policy : uint8_t { sequential, round_robin, random };
std::optional<Policy> parse_policy(std::string_view text);  // "sequential", "round-robin", "random"

inline constexpr size_t upstreams_max = 16;

// "10.0.0.2:53,10.0.0.3" (port 53 if none); "" = none.
Result<std::vector<io::SocketAddress>> parse_upstreams(std::string_view text);

class Upstreams {
public:
    static constexpr unsigned failures_max = 2;
    static constexpr Duration rest_first = std::chrono::seconds(1);
    static constexpr Duration rest_max = std::chrono::seconds(16);

    Upstreams(const std::vector<io::SocketAddress>& servers, Policy policy);
    ~Upstreams();
    Upstreams(const Upstreams&) = delete;

    size_t size() const { return servers_.size(); }
    const io::SocketAddress& address(size_t server) const { return servers_[server].address; }
    bool rests(size_t server) const { return servers_[server].failures >= failures_max; }
    bool any_rests() const;

    // Whom to ask, in order of trial; `looping`: bits of those that are not asked.
    std::vector<size_t> order(Rng& rng, uint64_t looping = 0);
    void answered(size_t server);
    void failed(size_t server, MonotonicTime now);
    void probe_failed(size_t server, MonotonicTime now);
    // Those that rest and whose probe is due. Each is told once; then answered() or probe_failed() follows.
    std::vector<size_t> due(MonotonicTime now);

private:
    struct Server {
        io::SocketAddress address;
        unsigned failures = 0;
        Duration rest{};
        MonotonicTime probe_at{};
    };

    std::vector<Server> servers_;
    const Policy policy_;
    size_t turn_ = 0;
};

}  // namespace weft::dns
