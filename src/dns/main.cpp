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
    if (options.ttl_s > ttl_max_s) return fail(Code::invalid, "--ttl: must be 0..3600");
    config.settings.ttl_s = options.ttl_s;
    config.upstreams = TRY(parse_upstreams(options.upstream));
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
