// weft status: what runs, whether it is ready, since when; weft drops: what the data plane dropped, by reason and hook;
// weft down.
#include <fmt/format.h>

#include <map>
#include <thread>

#include "base/fd.h"
#include "base/strings.h"
#include "cli/verbs.h"
#include "standalone/down.h"
#include "standalone/supervisor.h"

namespace weft::cli {

static Result<std::string> ask(const std::string& socket, const std::string& path) {
    kube::Endpoint endpoint;
    endpoint.unix_socket = socket;
    const kube::RawReply reply = TRY(kube::raw_request(endpoint, "GET", path, "", "", "*/*"));
    if (reply.status != 200) return fail(Code::unavailable, std::string(trim(reply.body)));
    return reply.body;
}

static Result<std::vector<standalone::NodeSpec>> nodes_of(const Instance& instance) {
    std::vector<standalone::NodeSpec> nodes;
    for (const std::string& line : split_list(TRY(read_file(instance.run_dir() + "/nodes")))) {
        const size_t equals = line.find('=');
        nodes.push_back({.name = line.substr(0, equals)});
    }
    return nodes;
}

int status(const Common& common) {
    const auto instance = find_instance(common);
    if (!instance) return report(instance.error());
    const auto nodes = nodes_of(*instance);
    if (!nodes) return report({Code::not_found, "instance " + instance->name() + " is not up; start it with: weft up"});
    const bool supervised = standalone::living_pid(standalone::supervisor_pid_file(*instance)) != 0;
    fmt::print("instance {}  supervisor {}  kubeconfig {}\n\n", instance->name(), supervised ? "runs" : "IS GONE (weft up)",
               instance->kubeconfig());
    fmt::print("{:<12} {:<14} {:>8}   {}\n", "PROCESS", "NODE", "PID", "STATE");
    bool all_ready = supervised;
    for (const standalone::ProcessSpec& process : standalone::processes({.instance = *instance, .nodes = *nodes})) {
        const int pid = standalone::living_pid(standalone::pid_file(*instance, process));
        const auto ready = ask(process.health_socket, "/readyz");
        all_ready = all_ready && ready.has_value();
        fmt::print("{:<12} {:<14} {:>8}   {}\n", process.name, process.node.empty() ? "-" : process.node, pid,
                   ready ? "ready" : pid == 0 ? "not running" : "not ready: " + ready.error().message);
    }
    for (const standalone::NodeSpec& node : *nodes) {
        for (const char* worker : {"alb", "dns"}) {
            const auto ready = ask(instance->node_run_dir(node.name) + "/" + worker + ".health.sock", "/readyz");
            all_ready = all_ready && ready.has_value();
            fmt::print("{:<12} {:<14} {:>8}   {}\n", worker, node.name, "", ready ? "ready" : "not ready: " + ready.error().message);
        }
    }
    return all_ready ? 0 : exit_code(Code::unavailable);
}

// weft_drops_total{hook="pod_egress",reason="SPOOF"} 3 → {"pod_egress SPOOF", 3}
static std::map<std::string, uint64_t> read_drops(const Instance& instance, const std::string& node) {
    std::map<std::string, uint64_t> counts;
    const auto text = ask(instance.node_run_dir(node) + "/agent.health.sock", "/metrics");
    if (!text) return counts;
    for (const std::string_view line : split(*text, '\n')) {
        if (!line.starts_with("weft_drops_total{")) continue;
        const size_t close = line.find('}');
        if (close == std::string_view::npos) continue;
        std::string labels(line.substr(17, close - 17));
        counts[labels] = parse_unsigned(trim(line.substr(close + 1))).value_or(0);
    }
    return counts;
}

int drops(const Common& common, bool follow) {
    const auto instance = find_instance(common);
    if (!instance) return report(instance.error());
    const auto nodes = nodes_of(*instance);
    if (!nodes) return report(nodes.error());
    std::map<std::string, std::map<std::string, uint64_t>> before;
    do {
        for (const standalone::NodeSpec& node : *nodes) {
            for (const auto& [labels, count] : read_drops(*instance, node.name)) {
                const uint64_t seen = before[node.name][labels];
                if (count > seen) fmt::print("{:<12} {:<60} {:>10}\n", node.name, labels, count - seen);
                before[node.name][labels] = count;
            }
        }
        std::fflush(stdout);
        if (follow) std::this_thread::sleep_for(std::chrono::seconds(1));
    } while (follow);
    return 0;
}

int down(const Common& common, bool purge) {
    const auto instance = find_instance(common);
    if (!instance) return report(instance.error());
    const auto done = standalone::down(*instance, purge);
    if (!done) return report(done.error());
    fmt::print("instance {} is down; its objects are {}\n", instance->name(),
               purge ? "forgotten" : "kept in " + instance->state_dir() + " (weft down --purge forgets them)");
    return 0;
}

}  // namespace weft::cli
