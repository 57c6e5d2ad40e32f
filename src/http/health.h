// Health: /healthz, /readyz and /metrics of a process, on a unix socket of mode 0600.
//
// /healthz answers 200 "ok" while the process serves; /readyz asks `ready`: success is 200, an error is 503 with its
// message; /metrics is metrics::render(). Threads: `ready` is called on connection threads. Source: design.md §3.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "http/server.h"

namespace weft::http {

using ReadyFn = std::function<Status()>;

// Serves until the returned object is destroyed.
class HealthServer {
public:
    explicit HealthServer(std::unique_ptr<Server> server) : server_(std::move(server)) {}
    ~HealthServer();

private:
    std::unique_ptr<Server> server_;
};

Result<std::unique_ptr<HealthServer>> serve_health(const std::string& socket_path, ReadyFn ready);

}  // namespace weft::http
