#include "apiserver/main.h"

#include <fmt/format.h>

#include <atomic>
#include <thread>

#include "apiserver/api.h"
#include "apiserver/certificate_keeper.h"
#include "apiserver/doors.h"
#include "apiserver/kubeconfig.h"
#include "apiserver/serve.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "http/health.h"
#include "http/server.h"

namespace weft::apiserver {

static constexpr uint16_t usual_port = 6443;
static constexpr int kept_port_tries = 10;
static constexpr auto kept_port_pause = std::chrono::milliseconds(100);
static constexpr size_t connections_max = 4096;

// The port that was chosen before, so that a kubeconfig stays right; else 6443 if it is free; else any. A kept port
// that someone else has taken meanwhile is given up, after a moment for a predecessor of ours that is just ending.
static Result<uint16_t> listen_on_loopback(http::Server& server, const Instance& instance,
                                           const std::shared_ptr<io::TlsContext>& tls) {
    const net::Address loopback = MUST(net::Address::parse("127.0.0.1"));
    const std::string path = instance.state_dir() + "/port";
    const uint64_t kept = parse_unsigned(trim(read_file(path).value_or(""))).value_or(0);
    if (kept > 0 && kept <= UINT16_MAX) {
        for (int tries = 0; tries < kept_port_tries; tries++) {
            if (tries > 0) std::this_thread::sleep_for(kept_port_pause);
            if (auto bound = server.listen_tcp({loopback, uint16_t(kept)}, tls)) return bound->port;
        }
        log::warning("the port that was used before is taken; choosing another", {{"port", kept}});
    }
    auto bound = server.listen_tcp({loopback, usual_port}, tls);
    if (!bound) bound = server.listen_tcp({loopback, 0}, tls);
    if (!bound) return fail(bound.error());
    TRY(write_file(path, fmt::format("{}\n", bound->port), 0644));
    return bound->port;
}

// The store whose numbers /metrics shows; a collector outlives a run.
static std::atomic<store::Log*> shown_store{nullptr};

static std::string store_metrics() {
    store::Log* const log = shown_store.load();
    if (log == nullptr) return {};
    const auto counters = log->counters();
    return fmt::format(
        "# TYPE weft_store_revision gauge\nweft_store_revision {}\n"
        "# TYPE weft_store_batches_total counter\nweft_store_batches_total {}\n"
        "# TYPE weft_store_writes_total counter\nweft_store_writes_total {}\n"
        "# TYPE weft_store_watchers_dropped_total counter\nweft_store_watchers_dropped_total {}\n",
        log->revision(), counters.batches, counters.writes, counters.watchers_dropped);
}

Status run(const Options& options, std::stop_token stop) {
    const Instance& instance = options.instance;
    TRY(make_directories(instance.state_dir(), 0700));
    TRY(make_directories(instance.run_dir(), 0700));
    const auto log = TRY_IN("open the store",
                            store::Log::open({.path = instance.state_dir() + "/store.db", .force = options.force}));
    Tokens tokens = TRY_IN("tokens", Tokens::open(instance));
    const std::string root_token = tokens.root();
    const auto api = TRY(Api::open(*log, std::move(tokens), instance));
    const auto certificate = TRY_IN("certificates", CertificateKeeper::open(instance, *log));
    const auto tls = certificate->tls();

    http::ServerOptions server_options;
    server_options.name = "apiserver";
    server_options.connections_max = connections_max;
    const auto server = http::Server::create(
        server_options, [&](http::Request& request, http::Exchange& exchange) { serve(*api, request, exchange); });
    const uint16_t port = TRY(listen_on_loopback(*server, instance, tls));
    TRY(server->listen_unix(instance.api_socket()));
    const auto doors = TRY_IN("doors", Doors::open(instance.run_dir() + "/apiserver.doors.sock", *server, tls));
    TRY(write_kubeconfig(instance, port, certificate->ca_pem(), root_token));
    const auto health = TRY(http::serve_health(instance.run_dir() + "/apiserver.health.sock", [&] {
        return log->writable() ? Status() : fail(Code::io, "storage-write: the last commit failed");
    }));
    static const bool collected = (metrics::add_collector(store_metrics), true);
    (void)collected;
    shown_store = log.get();
    log::info("serving", {{"port", port}, {"socket", instance.api_socket()}, {"revision", log->revision()}});
    server->run(stop);
    shown_store = nullptr;
    log::info("stopped", {{"revision", log->revision()}});
    return {};
}

}  // namespace weft::apiserver
