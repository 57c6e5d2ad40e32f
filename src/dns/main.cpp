#include "dns/main.h"

#include <algorithm>
#include <thread>

#include "base/log.h"
#include "dns/server.h"
#include "http/health.h"

namespace weft::dns {

namespace {

Result<Server::Config> parse(const Options& options) {
    Server::Config config;
    config.settings.zone = TRY_IN("--zone", dns_wire::Name::parse(options.zone));
    if (config.settings.zone.is_root()) return fail(Code::invalid, "--zone: must not be the root");
    TRY(options.dns.check());
    config.settings.ttl_s = options.dns.ttl_s;
    config.settings.answers_per_second = options.dns.answers_per_second;
    config.upstreams = TRY(parse_upstreams(options.dns.upstream));
    const auto policy = parse_policy(options.dns.policy);
    if (!policy) return fail(Code::invalid, "--dns-policy: must be sequential, round-robin or random");
    config.policy = *policy;
    config.settings.forwarding = !config.upstreams.empty();
    const unsigned cpus = std::max(1u, std::thread::hardware_concurrency());
    config.hands = std::min(options.hands != 0 ? options.hands : cpus, hands_max);
    return config;
}

}  // namespace

Status run(worker::Start start, const Options& options, std::stop_token stop) {
    Server::Config config = TRY(parse(options));
    const std::unique_ptr<kube::Client> client = kube::connect(start.api);
    const std::unique_ptr<Server> server = TRY(Server::create(std::move(config), *start.channel, *client));
    std::unique_ptr<http::HealthServer> health;
    if (!options.health_socket.empty()) {
        health = TRY(http::serve_health(options.health_socket, [it = server.get()]() -> Status {
            if (it->synced()) return {};
            return fail(Code::unavailable, "the first sync with the API server is not done");
        }));
    }
    TRY(worker::enter_sandbox());
    log::info("dns started", {{"node", start.node}});
    server->run(stop);
    return {};
}

}  // namespace weft::dns
