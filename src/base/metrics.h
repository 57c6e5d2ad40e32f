// Metrics: named counters and gauges with labels, shown as Prometheus text on every process' /metrics. Base units,
// names begin with weft_. Registration is cheap but takes a lock: keep the reference. Threads: any.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace weft::metrics {

using LabelSet = std::map<std::string, std::string>;

class Counter {
public:
    void add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
    uint64_t value() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<uint64_t> value_{0};
};

class Gauge {
public:
    void set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
    void add(int64_t by) { value_.fetch_add(by, std::memory_order_relaxed); }
    int64_t value() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<int64_t> value_{0};
};

// The same name and labels give the same instance, for the life of the process. `help` is kept from the first call.
Counter& counter(std::string_view name, const LabelSet& labels = {}, std::string_view help = {});
Gauge& gauge(std::string_view name, const LabelSet& labels = {}, std::string_view help = {});

// Values that live elsewhere (BPF maps): called at each scrape, appends ready lines in the text format.
void add_collector(std::function<std::string()> collect);

std::string render();  // text/plain; version=0.0.4

}  // namespace weft::metrics
