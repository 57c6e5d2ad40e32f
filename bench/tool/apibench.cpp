// apibench: what the API server does with many objects, as numbers for bench/api/run.
//
//   apibench --instance I create N THREADS     N Services in 4 namespaces; seconds, and the latency of one create
//   apibench --instance I settle               waits until the controllers have nothing more to write
//   apibench --instance I list                 all Services in one reply, and in pages of 500
//   apibench --instance I watch WATCHERS N     N changes of one Service: from the writer's reply to each watcher's ear
//   apibench --instance I map NODE N           N changes of one Service's port: from the reply to the row in the node's map
//   apibench floor FILE N BYTES THREADS        the store alone: N puts of BYTES, without HTTP, JSON and rules
//
// Every line it prints is "name value unit". The server is asked through its unix socket. Threads: as asked.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "kernel/bpf_map.h"
#include "kernel/bpf_object.h"
#include "measure.h"
#include "net/address.h"
#include "store/log.h"

namespace weft {
namespace {

constexpr int namespaces_count = 4;

std::string ns_of(int i) {
    return fmt::format("bench-{}", i % namespaces_count);
}

kube::Object service(const std::string& ns, const std::string& name, int port) {
    kube::Object object = kube::Object::of(kube::services, {ns, name});
    object.set({"spec"},
               json::Value(json::Object{
                   {"selector", json::Object{{"app", name}}},
                   {"ports", json::Array{json::Object{{"name", "http"}, {"port", port}, {"targetPort", 8080}}}}}));
    return object;
}

int create(const Instance& instance, int count, int threads) {
    const auto client = connect(instance);
    for (int i = 0; i < namespaces_count; i++)
        (void)client->create(kube::namespaces, kube::Object::of(kube::namespaces, {"", ns_of(i)}));
    std::atomic<int> next{0}, failed{0};
    std::vector<std::vector<double>> times(static_cast<size_t>(threads));
    const MonotonicTime start = system_clock().now();
    {
        std::vector<std::jthread> workers;
        for (int t = 0; t < threads; t++)
            workers.emplace_back([&, t] {
                for (int i; (i = next++) < count;) {
                    const MonotonicTime began = system_clock().now();
                    const auto made = client->create(kube::services, service(ns_of(i), fmt::format("s{}", i), 80));
                    if (!made && failed++ == 0) fmt::print(stderr, "create: {}\n", made.error().message);
                    times[size_t(t)].push_back(ms_since(began));
                }
            });
    }
    const double seconds = ms_since(start) / 1000;
    std::vector<double> all;
    for (const auto& some : times) all.insert(all.end(), some.begin(), some.end());
    fmt::print("create-seconds {:.2f} s\ncreate-rate {:.0f} /s\n", seconds, double(count) / seconds);
    print_latency("create", all);
    return failed == 0 ? 0 : 1;
}

int settle(const Instance& instance) {
    constexpr int64_t quiet_revisions = 10;  // Leases are renewed all the time
    const auto client = connect(instance);
    const auto revision = [&] {
        return int64_t(parse_unsigned(MUST(client->list(kube::vpcs)).resource_version).value_or(0));
    };
    const MonotonicTime start = system_clock().now();
    for (int64_t before = -1, now = revision(); now - before > quiet_revisions;) {
        if (ms_since(start) > 300'000) return fmt::print(stderr, "settle: still writing after 300 s\n"), 1;
        std::this_thread::sleep_for(std::chrono::seconds(2));
        before = std::exchange(now, revision());
    }
    fmt::print("settle-seconds {:.0f} s\n", ms_since(start) / 1000);
    return 0;
}

int list(const Instance& instance) {
    const kube::Endpoint endpoint = endpoint_of(instance);
    const auto client = kube::connect(endpoint);
    std::vector<double> whole, pages;
    size_t bytes = 0, objects = 0, managed = 0, stored = 0;
    for (int round = 0; round < 5; round++) {
        MonotonicTime start = system_clock().now();
        const auto reply = MUST(kube::raw_request(endpoint, "GET", "/api/v1/services", "", "", "application/json"));
        whole.push_back(ms_since(start));
        bytes = reply.body.size();
        start = system_clock().now();
        const auto listed = MUST(client->list(kube::services));
        pages.push_back(ms_since(start));
        objects = listed.items.size();
        if (round > 0) continue;
        for (const kube::Object& object : listed.items) {
            stored += json::serialize(object.body()).size();
            if (const json::Value* fields = object.find({"metadata", "managedFields"}))
                managed += json::serialize(*fields).size();
        }
    }
    fmt::print("list-objects {} objects\nlist-bytes {} bytes\n", objects, bytes);
    fmt::print("object-bytes {} bytes\nmanaged-fields-bytes {} bytes\n", stored / std::max<size_t>(objects, 1),
               managed / std::max<size_t>(objects, 1));
    fmt::print("list-whole-median {:.1f} ms\nlist-pages-and-decode-median {:.1f} ms\n", quantile(whole, 0.5),
               quantile(pages, 0.5));
    return 0;
}

json::Value ports_patch(int port) {
    return json::Object{
        {"spec",
         json::Object{{"ports", json::Array{json::Object{{"name", "http"}, {"port", port}, {"targetPort", 8080}}}}}}};
}

int watch(const Instance& instance, int watchers, int changes) {
    const auto client = connect(instance);
    const kube::ObjectKey key{ns_of(0), "watched"};
    (void)client->create(kube::services, service(key.ns, key.name, 1000));
    const std::string from = MUST(client->list(kube::services)).resource_version;
    std::mutex mutex;
    std::map<int, MonotonicTime> replied;  // by port
    std::vector<std::pair<int, MonotonicTime>> heard;
    std::atomic<int> ready{0};
    std::stop_source stop;
    std::vector<std::jthread> ears;
    for (int w = 0; w < watchers; w++)
        ears.emplace_back([&] {
            const auto own = connect(instance);
            ready++;
            (void)own->watch(kube::services, {}, from, stop.get_token(), [&](kube::WatchEvent&& event) {
                const MonotonicTime now = system_clock().now();
                if (event.object.name() != key.name) return true;
                const int port = int(json::find_int(event.object.array({"spec", "ports"}).at(0), {"port"}));
                const std::lock_guard lock(mutex);
                heard.emplace_back(port, now);
                return port < 2000 + changes;
            });
        });
    while (ready < watchers) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (int i = 1; i <= changes; i++) {
        MUST(client->patch(kube::services, key, kube::PatchType::merge, ports_patch(2000 + i)));
        const std::lock_guard lock(mutex);
        replied[2000 + i] = system_clock().now();
    }
    ears.clear();
    std::vector<double> late;
    for (const auto& [port, when] : heard)
        if (replied.contains(port))
            late.push_back(std::max(0.0, std::chrono::duration<double, std::milli>(when - replied[port]).count()));
    fmt::print("watch-events {} events\n", late.size());
    print_latency(fmt::format("watch-{}", watchers), late);
    return late.size() >= size_t(watchers) * size_t(changes) ? 0 : 1;
}

int to_map(const Instance& instance, const std::string& node, int changes) {
    const auto client = connect(instance);
    const kernel::NodeMaps maps = MUST(kernel::open_pinned_maps(instance.bpf_dir(node)));
    const kube::ObjectKey key{ns_of(0), "mapped"};
    (void)client->create(kube::services, service(key.ns, key.name, 1000));
    const kube::Object made = MUST(client->get(kube::services, key));
    const kube::ObjectList vpcs = MUST(client->list(kube::vpcs));
    uint32_t vni = 0;
    for (const kube::Object& vpc : vpcs.items)
        if (vpc.boolean({"spec", "default"})) vni = uint32_t(vpc.integer({"status", "vni"}));
    abi::frontend_key row{};
    row.vpc = vni;
    row.address = abi::to_abi(MUST(net::Address::parse(made.string({"spec", "clusterIP"}))));
    row.protocol = 6;
    std::vector<double> late;
    for (int i = 0; i <= changes; i++) {
        const auto port = uint16_t(2000 + i);
        MUST(client->patch(kube::services, key, kube::PatchType::merge, ports_patch(port)));
        const MonotonicTime replied = system_clock().now();
        row.port = abi::to_abi_port(port);
        while (!MUST(maps.frontends->lookup(row))) {
            if (ms_since(replied) > 30'000) return fmt::print(stderr, "map: port {} never came\n", port), 1;
            std::this_thread::sleep_for(std::chrono::microseconds(20));
        }
        late.push_back(ms_since(replied));
        if (i > 0) continue;
        fmt::print("map-first {:.3f} ms\n", late.back());  // what the node still had to do before
        late.clear();
    }
    print_latency("map", late);
    return 0;
}

int floor_of(const std::string& path, int count, size_t bytes, int threads) {
    const auto log = MUST(store::Log::open({.path = path}));
    const std::string value(bytes, 'x');
    std::atomic<int> next{0};
    const MonotonicTime start = system_clock().now();
    {
        std::vector<std::jthread> workers;
        for (int t = 0; t < threads; t++)
            workers.emplace_back([&] {
                for (int i; (i = next++) < count;)
                    MUST(log->write([&](store::Transaction& transaction) -> Status {
                        TRY(transaction.put(fmt::format("floor/{}", i), value, 0));
                        return {};
                    }));
            });
    }
    const double seconds = ms_since(start) / 1000;
    fmt::print("floor-seconds {:.2f} s\nfloor-rate {:.0f} /s\nfloor-writes-per-batch {:.1f} writes\n", seconds,
               double(count) / seconds,
               double(log->counters().writes) / double(std::max<uint64_t>(1, log->counters().batches)));
    return 0;
}

int usage() {
    fmt::print(stderr, "apibench: see the head of bench/tool/apibench.cpp\n");
    return 2;
}

int run(std::vector<std::string> words) {
    const auto number = [&](size_t i) { return i < words.size() ? int(parse_unsigned(words[i]).value_or(0)) : 0; };
    if (words.size() == 5 && words[0] == "floor") return floor_of(words[1], number(2), size_t(number(3)), number(4));
    if (words.size() < 3 || words[0] != "--instance") return usage();
    const auto instance = Instance::parse(words[1]);
    if (!instance) return usage();
    if (words[2] == "create" && number(3) > 0 && number(4) > 0) return create(*instance, number(3), number(4));
    if (words[2] == "settle") return settle(*instance);
    if (words[2] == "list") return list(*instance);
    if (words[2] == "watch" && number(3) > 0 && number(4) > 0) return watch(*instance, number(3), number(4));
    if (words[2] == "map" && words.size() == 5 && number(4) > 0) return to_map(*instance, words[3], number(4));
    return usage();
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
    return weft::run({argv + 1, argv + argc});
}
