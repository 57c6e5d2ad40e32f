// What the generators of bench/api and bench/scale share: times, their quantiles, and a client of the instance's API server.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/instance.h"
#include "base/strings.h"
#include "kube/client.h"

namespace weft {

inline double ms_since(MonotonicTime start) {
    return std::chrono::duration<double, std::milli>(system_clock().now() - start).count();
}

inline double quantile(std::vector<double> values, double q) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return values[std::min(values.size() - 1, size_t(q * double(values.size())))];
}

inline void print_latency(const std::string& name, const std::vector<double>& ms) {
    fmt::print("{}-p50 {:.3f} ms\n{}-p99 {:.3f} ms\n{}-max {:.3f} ms\n", name, quantile(ms, 0.5), name,
               quantile(ms, 0.99), name, quantile(ms, 1));
}

inline kube::Endpoint endpoint_of(const Instance& instance) {
    kube::Endpoint endpoint;
    endpoint.unix_socket = instance.api_socket();
    endpoint.token = std::string(trim(MUST(read_file(instance.state_dir() + "/root.token"))));
    endpoint.user_agent = "weft-bench";
    return endpoint;
}

inline std::unique_ptr<kube::Client> connect(const Instance& instance) {
    return kube::connect(endpoint_of(instance));
}

}  // namespace weft
