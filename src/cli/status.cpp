// weft status: what runs, whether it is ready; weft version; weft down.
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "abi/types.h"
#include "base/strings.h"
#include "cli/ask.h"
#include "cli/node_view.h"
#include "cli/nodes.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/views.h"
#include "standalone/down.h"
#include "standalone/supervisor.h"

namespace weft::cli {

Result<std::string> ask_process(const std::string& socket, const std::string& path) {
    kube::Endpoint endpoint;
    endpoint.unix_socket = socket;
    const kube::RawReply reply = TRY(kube::raw_request(endpoint, "GET", path, "", "", "*/*"));
    if (reply.status != 200) return fail(Code::unavailable, std::string(trim(reply.body)));
    return reply.body;
}

// `pid` 0: not running, or the keeper's child.
static json::Object state_of(const std::string& name, const std::string& node, int pid, bool has_pid,
                             const std::string& health_socket) {
    const auto ready = ask_process(health_socket, "/readyz");
    json::Object out;
    out["name"] = name;
    out["node"] = node;
    if (pid != 0) out["pid"] = pid;
    out["ready"] = ready.has_value();
    out["state"] = ready ? "ready" : has_pid && pid == 0 ? "not running" : "not ready: " + ready.error().message;
    return out;
}

static json::Array states_of(const Instance& instance, const std::vector<std::string>& names) {
    json::Array states;
    std::vector<standalone::NodeSpec> nodes;
    for (const std::string& name : names) nodes.push_back({.name = name});
    for (const standalone::ProcessSpec& process : standalone::processes({.instance = instance, .nodes = nodes})) {
        const int pid = standalone::living_pid(standalone::pid_file(instance, process));
        states.emplace_back(state_of(process.name, process.node, pid, true, process.health_socket));
    }
    for (const std::string& node : names)
        for (const char* worker : {"alb", "dns"})
            states.emplace_back(
                state_of(worker, node, 0, false, instance.node_run_dir(node) + "/" + worker + ".health.sock"));
    return states;
}

Result<json::Value> status_view(const Instance& instance) {
    const bool supervised = standalone::living_pid(standalone::supervisor_pid_file(instance)) != 0;
    json::Array processes = states_of(instance, TRY(node_names(instance)));
    bool all_ready = supervised;
    for (const json::Value& process : processes) all_ready = all_ready && json::find_bool(process, {"ready"});
    json::Object out;
    out["instance"] = instance.name();
    out["kubeconfig"] = instance.kubeconfig();
    out["supervisor"] = supervised;
    out["ready"] = all_ready;
    out["processes"] = std::move(processes);
    out["nodes"] = TRY(nodes_view(instance));
    return json::Value(std::move(out));
}

static Table table_of(const json::Value& status) {
    Table table{{"PROCESS", "NODE", {"PID", Align::right}, "STATE"}, {}};
    for (const json::Value& process : *json::find_array(status, {"processes"})) {
        const int64_t pid = json::find_int(process, {"pid"});
        const std::string node(json::find_string(process, {"node"}));
        table.rows.push_back({std::string(json::find_string(process, {"name"})), node.empty() ? "-" : node,
                              pid == 0 ? "" : std::to_string(pid), std::string(json::find_string(process, {"state"}))});
    }
    return table;
}

int status(const Common& common) {
    const auto instance = find_instance(common);
    if (!instance) return report(instance.error());
    const auto value = status_view(*instance);
    if (!value) return report(value.error());
    const bool ready = json::find_bool(*value, {"ready"});
    if (!is_for_programs(common))
        fmt::print("instance {}  supervisor {}  kubeconfig {}\n\n", instance->name(),
                   json::find_bool(*value, {"supervisor"}) ? "runs" : "IS GONE (weft up)", instance->kubeconfig());
    show(common, table_of(*value), *value);
    if (!is_for_programs(common))
        fmt::print("\n{}", text_of(nodes_table(*json::find_array(*value, {"nodes"})), common.output == "wide"));
    if (!ready && !is_for_programs(common)) fmt::print("\nwhy? its log: {}/log/NODE.PROCESS.log\n", instance->run_dir());
    return ready ? 0 : exit_code(Code::unavailable);
}

json::Value version_view(const std::string& number) {
    utsname machine{};
    uname(&machine);
    json::Object out;
    out["version"] = number;
    out["dataPlaneVersion"] = ABI_VERSION;
    out["kernel"] = machine.release;
    return out;
}

int version(const Common& common, const std::string& number) {
    const json::Value value = version_view(number);
    if (is_for_programs(common)) {
        print_value(common, value);
        return 0;
    }
    fmt::print("weft {}\ndata plane {}   (pinned maps end in _v{})\nkernel {}\n", number, ABI_VERSION, ABI_VERSION,
               json::find_string(value, {"kernel"}));
    return 0;
}

int down(const Common& common, bool purge) {
    const auto instance = find_instance(common);
    if (!instance) return report(instance.error());
    const bool was_here = access(instance->run_dir().c_str(), F_OK) == 0 || access(instance->state_dir().c_str(), F_OK) == 0;
    const auto done = standalone::down(*instance, purge);
    if (!done) return report(done.error());
    if (!was_here) {
        fmt::print("there is no instance {}: nothing to end\n", instance->name());
        return 0;
    }
    fmt::print("instance {} is down; its objects are {}\n", instance->name(),
               purge ? "forgotten" : "kept in " + instance->state_dir() + " (weft down --purge forgets them)");
    return 0;
}

}  // namespace weft::cli
