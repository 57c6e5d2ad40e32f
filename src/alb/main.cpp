#include "alb/main.h"

#include "alb/proxy.h"
#include "alb/reconciler.h"
#include "base/log.h"
#include "http/health.h"
#include "kube/brain.h"

namespace weft::alb {

Status run(worker::Start start, const Options& options, std::stop_token stop) {
    const auto proxy = TRY(Proxy::create(*start.channel, options.hands));
    const auto client = kube::connect(start.api);
    const auto brain = kube::Brain::create(*client);
    // Made before the sandbox closes: OpenSSL reads its files once.
    const Reconciler reconciler(*brain, *proxy, TRY(Certificates::create()));

    std::unique_ptr<http::HealthServer> health;
    if (!options.health_socket.empty()) {
        health = TRY(http::serve_health(options.health_socket, [&]() -> Status {
            if (!brain->synced()) return fail(Code::unavailable, "caches are not in sync");
            if (!proxy->is_programmed()) return fail(Code::unavailable, "not every listener is there");
            return {};
        }));
    }
    if (options.sandbox) TRY_IN("sandbox", worker::enter_sandbox());
    log::info("alb started", {{"hands", options.hands}});
    brain->run(stop);
    proxy->stop();
    return {};
}

}  // namespace weft::alb
