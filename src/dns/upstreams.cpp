#include "dns/upstreams.h"

#include <algorithm>

#include "base/log.h"
#include "base/metrics.h"
#include "base/strings.h"

namespace weft::dns {

namespace {

constexpr uint16_t default_port = 53;

metrics::Gauge& resting() {
    static metrics::Gauge& gauge =
        metrics::gauge("weft_dns_upstreams_resting", {}, "upstream servers that do not answer, counted by each hand");
    return gauge;
}

}  // namespace

std::optional<Policy> parse_policy(std::string_view text) {
    if (text == "sequential") return Policy::sequential;
    if (text == "round-robin") return Policy::round_robin;
    if (text == "random") return Policy::random;
    return std::nullopt;
}

Result<std::vector<io::SocketAddress>> parse_upstreams(std::string_view text) {
    std::vector<io::SocketAddress> upstreams;
    for (const std::string& part : split_list(text)) {
        const size_t colon = part.rfind(':');
        const std::string_view host = std::string_view(part).substr(0, colon);
        io::SocketAddress upstream{TRY_IN("--dns-upstream", net::Address::parse(host)), default_port};
        if (!upstream.address.is_v4()) return fail(Code::invalid, "--dns-upstream: only IPv4: " + part);
        if (colon != std::string::npos) {
            const std::optional<uint64_t> port = parse_unsigned(std::string_view(part).substr(colon + 1));
            if (!port || *port < 1 || *port > 65535) return fail(Code::invalid, "--dns-upstream: bad port: " + part);
            upstream.port = uint16_t(*port);
        }
        if (upstreams.size() == upstreams_max)
            return fail(Code::invalid, "--dns-upstream: more than " + std::to_string(upstreams_max));
        upstreams.push_back(upstream);
    }
    return upstreams;
}

Upstreams::Upstreams(const std::vector<io::SocketAddress>& servers, Policy policy) : policy_(policy) {
    for (const io::SocketAddress& address : servers) servers_.push_back({address, 0, {}, {}});
}

Upstreams::~Upstreams() {
    for (size_t i = 0; i < size(); ++i)
        if (rests(i)) resting().add(-1);
}

bool Upstreams::any_rests() const {
    for (size_t i = 0; i < size(); ++i)
        if (rests(i)) return true;
    return false;
}

std::vector<size_t> Upstreams::order(Rng& rng, uint64_t looping) {
    if (servers_.empty()) return {};
    size_t first = 0;
    if (policy_ == Policy::round_robin) first = turn_++ % size();
    if (policy_ == Policy::random) first = size_t(rng.below(size()));
    std::vector<size_t> well, ill;
    for (size_t i = 0; i < size(); ++i) {
        const size_t server = (first + i) % size();
        if (looping >> server & 1) continue;
        (rests(server) ? ill : well).push_back(server);
    }
    well.insert(well.end(), ill.begin(), ill.end());
    return well;
}

void Upstreams::answered(size_t server) {
    Server& it = servers_[server];
    if (rests(server)) {
        resting().add(-1);
        log::info("upstream answers again", {{"upstream", it.address.text()}});
    }
    it.failures = 0;
}

void Upstreams::failed(size_t server, MonotonicTime now) {
    if (rests(server)) return;  // asked because nobody is well; its probes go on
    Server& it = servers_[server];
    if (++it.failures < failures_max) return;
    it.rest = rest_first;
    it.probe_at = now + it.rest;
    resting().add(1);
    log::warning("upstream does not answer", {{"upstream", it.address.text()}});
}

void Upstreams::probe_failed(size_t server, MonotonicTime now) {
    Server& it = servers_[server];
    if (!rests(server)) return;
    it.rest = std::min(it.rest * 2, rest_max);
    it.probe_at = now + it.rest;
}

std::vector<size_t> Upstreams::due(MonotonicTime now) {
    std::vector<size_t> servers;
    for (size_t i = 0; i < size(); ++i) {
        if (!rests(i) || servers_[i].probe_at > now) continue;
        servers_[i].probe_at = MonotonicTime::max();
        servers.push_back(i);
    }
    return servers;
}

}  // namespace weft::dns
