// weft status: what runs, whether it is ready, since when; weft drops: what the data plane dropped, by reason and hook;
// weft version; weft down.
#include <fmt/format.h>
#include <sys/utsname.h>

#include <map>
#include <thread>

#include "abi/types.h"
#include "base/strings.h"
#include "cli/nodes.h"
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
    for (const std::string& name : TRY(node_names(instance))) nodes.push_back({.name = name});
    return nodes;
}

struct ProcessState {
    std::string name, node;
    int pid = 0;  // 0: not running, or the keeper's child
    bool ready = false;
    std::string state;  // "ready", else why not
};

static ProcessState state_of(const std::string& name, const std::string& node, int pid, bool has_pid,
                             const std::string& health_socket) {
    const auto ready = ask(health_socket, "/readyz");
    std::string state = "ready";
    if (!ready) state = has_pid && pid == 0 ? "not running" : "not ready: " + ready.error().message;
    return {name, node, pid, ready.has_value(), state};
}

static std::vector<ProcessState> states_of(const Instance& instance, const std::vector<standalone::NodeSpec>& nodes) {
    std::vector<ProcessState> states;
    for (const standalone::ProcessSpec& process : standalone::processes({.instance = instance, .nodes = nodes})) {
        const int pid = standalone::living_pid(standalone::pid_file(instance, process));
        states.push_back(state_of(process.name, process.node, pid, true, process.health_socket));
    }
    for (const standalone::NodeSpec& node : nodes)
        for (const char* worker : {"alb", "dns"})
            states.push_back(state_of(worker, node.name, 0, false,
                                      instance.node_run_dir(node.name) + "/" + worker + ".health.sock"));
    return states;
}

static void print_status_json(const Instance& instance, bool supervised, bool all_ready,
                              const std::vector<ProcessState>& states) {
    json::Object out;
    out["instance"] = instance.name();
    out["kubeconfig"] = instance.kubeconfig();
    out["supervisor"] = supervised;
    out["ready"] = all_ready;
    json::Array processes;
    for (const ProcessState& process : states) {
        json::Object entry;
        entry["name"] = process.name;
        entry["node"] = process.node;
        if (process.pid != 0) entry["pid"] = process.pid;
        entry["ready"] = process.ready;
        entry["state"] = process.state;
        processes.emplace_back(std::move(entry));
    }
    out["processes"] = std::move(processes);
    fmt::print("{}", json::serialize_pretty(out));
}

int status(const Common& common) {
    const auto instance = find_instance(common);
    if (!instance) return report(instance.error());
    const auto nodes = nodes_of(*instance);
    if (!nodes) return report(nodes.error());
    const bool supervised = standalone::living_pid(standalone::supervisor_pid_file(*instance)) != 0;
    const std::vector<ProcessState> states = states_of(*instance, *nodes);
    bool all_ready = supervised;
    for (const ProcessState& process : states) all_ready = all_ready && process.ready;
    if (common.output == "json") {
        print_status_json(*instance, supervised, all_ready, states);
        return all_ready ? 0 : exit_code(Code::unavailable);
    }
    fmt::print("instance {}  supervisor {}  kubeconfig {}\n\n", instance->name(), supervised ? "runs" : "IS GONE (weft up)",
               instance->kubeconfig());
    fmt::print("{:<12} {:<14} {:>8}   {}\n", "PROCESS", "NODE", "PID", "STATE");
    for (const ProcessState& process : states)
        fmt::print("{:<12} {:<14} {:>8}   {}\n", process.name, process.node.empty() ? "-" : process.node,
                   process.pid == 0 ? "" : std::to_string(process.pid), process.state);
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

// hook="pod_egress",reason="spoofed_mac" → {"hook": "pod_egress", "reason": "spoofed_mac"}
static json::Object labels_as_json(std::string_view labels) {
    json::Object out;
    for (const std::string_view label : split(labels, ',')) {
        const size_t equals = label.find('=');
        if (equals == std::string_view::npos || label.size() < equals + 3) continue;
        out[json::String(label.substr(0, equals))] = json::String(label.substr(equals + 2, label.size() - equals - 3));
    }
    return out;
}

int drops(const Common& common, bool follow) {
    const auto instance = find_instance(common);
    if (!instance) return report(instance.error());
    const auto nodes = nodes_of(*instance);
    if (!nodes) return report(nodes.error());
    const bool as_json = common.output == "json";
    std::map<std::string, std::map<std::string, uint64_t>> before;
    do {
        json::Array list;
        for (const standalone::NodeSpec& node : *nodes) {
            for (const auto& [labels, count] : read_drops(*instance, node.name)) {
                const uint64_t seen = before[node.name][labels];
                before[node.name][labels] = count;
                if (count <= seen) continue;
                if (!as_json) {
                    fmt::print("{:<12} {:<60} {:>10}\n", node.name, labels, count - seen);
                    continue;
                }
                json::Object entry = labels_as_json(labels);
                entry["node"] = node.name;
                entry["packets"] = count - seen;
                if (follow) fmt::print("{}\n", json::serialize(entry));
                list.emplace_back(std::move(entry));
            }
        }
        if (as_json && !follow) fmt::print("{}", json::serialize_pretty(list));
        std::fflush(stdout);
        if (follow) std::this_thread::sleep_for(std::chrono::seconds(1));
    } while (follow);
    return 0;
}

int version(const Common& common, const std::string& number) {
    utsname machine{};
    uname(&machine);
    if (common.output == "json") {
        json::Object out;
        out["version"] = number;
        out["dataPlaneVersion"] = ABI_VERSION;
        out["kernel"] = machine.release;
        fmt::print("{}", json::serialize_pretty(out));
        return 0;
    }
    fmt::print("weft {}\ndata plane {}   (pinned maps end in _v{})\nkernel {}\n", number, ABI_VERSION, ABI_VERSION,
               machine.release);
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
