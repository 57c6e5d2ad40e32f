#include "http/health.h"

#include "base/metrics.h"

namespace weft::http {

HealthServer::~HealthServer() { server_->stop(); }

Result<std::unique_ptr<HealthServer>> serve_health(const std::string& socket_path, ReadyFn ready) {
    ServerOptions options{.name = "health",
                          .connections_max = 32,
                          .idle_timeout = std::chrono::seconds(10),
                          .stop_grace = std::chrono::seconds(1)};
    auto server = Server::create(std::move(options), [ready = std::move(ready)](Request& request, Exchange& exchange) {
        if (request.method() != "GET" && request.method() != "HEAD") {
            (void)exchange.respond(405, "text/plain", "only GET\n");
        } else if (request.path == "/healthz") {
            (void)exchange.respond(200, "text/plain", "ok\n");
        } else if (request.path == "/readyz") {
            const Status status = ready();
            (void)exchange.respond(status ? 200 : 503, "text/plain", (status ? "ok" : status.error().message) + "\n");
        } else if (request.path == "/metrics") {
            (void)exchange.respond(200, "text/plain; version=0.0.4", metrics::render());
        } else {
            (void)exchange.respond(404, "text/plain", "there are /healthz, /readyz and /metrics\n");
        }
    });
    TRY_IN("health", server->listen_unix(socket_path));
    server->start();
    return std::make_unique<HealthServer>(std::move(server));
}

}  // namespace weft::http
