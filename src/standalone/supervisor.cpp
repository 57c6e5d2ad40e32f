#include "standalone/supervisor.h"

#include <poll.h>
#include <unistd.h>

#include <optional>

#include "base/clock.h"
#include "base/log.h"
#include "kernel/cgroup.h"
#include "kube/client.h"
#include "standalone/api_ports.h"

namespace weft::standalone {

static constexpr Duration restart_first = std::chrono::milliseconds(100);
static constexpr Duration restart_max = std::chrono::seconds(5);
static constexpr Duration life_that_resets = std::chrono::seconds(30);
static constexpr int poll_ms = 100;

std::string supervisor_pid_file(const Instance& instance) { return instance.run_dir() + "/supervisor.pid"; }

std::vector<ProcessSpec> processes(const SupervisorOptions& options) {
    const Instance& instance = options.instance;
    std::vector<ProcessSpec> list;
    for (const char* name : {"apiserver", "controller"}) {
        list.push_back({.name = name,
                        .arguments = {options.self_binary, name, "--instance", instance.name()},
                        .cgroup = instance.cgroup() + "/system",
                        .health_socket = instance.run_dir() + "/" + name + ".health.sock"});
    }
    for (const NodeSpec& node : options.nodes) {
        for (const std::string name : {"agent", "keeper", "runtime"}) {
            ProcessSpec process{.name = name,
                                .node = node.name,
                                .arguments = {options.self_binary, name, "--instance", instance.name(), "--node", node.name},
                                .cgroup = instance.system_cgroup(node.name),
                                .health_socket = instance.node_run_dir(node.name) + "/" + name + ".health.sock"};
            if (name == "keeper") {
                const std::vector<std::string> dns = options.dns.arguments();
                process.arguments.insert(process.arguments.end(), dns.begin(), dns.end());
            }
            if (name == "runtime") {
                std::string zones;
                for (const std::string& zone : node.zones) zones += (zones.empty() ? "" : ",") + zone;
                process.arguments.insert(process.arguments.end(), {"--zones", zones, "--cni", options.cni_binary});
            }
            list.push_back(std::move(process));
        }
    }
    return list;
}

bool is_ready(const ProcessSpec& process) {
    kube::Endpoint endpoint;
    endpoint.unix_socket = process.health_socket;
    const auto reply = kube::raw_request(endpoint, "GET", "/readyz", "", "", "*/*");
    return reply && reply->status == 200;
}

namespace {

struct Child {
    ProcessSpec spec;
    std::optional<Process> process;
    MonotonicTime started{};
    MonotonicTime start_at{};
    Duration backoff = restart_first;
};

void start_child(const SupervisorOptions& options, const std::string& cgroup2, Child& child, MonotonicTime now) {
    auto started = Process::start(options.instance, child.spec, cgroup2);
    child.started = now;
    if (!started) {
        log::error("process does not start", {{"what", child.spec.name}, {"on", child.spec.node}, {"error", started.error().message}});
        child.start_at = now + child.backoff;
        child.backoff = std::min(child.backoff * 2, restart_max);
        return;
    }
    log::info("process started", {{"what", child.spec.name}, {"on", child.spec.node}, {"pid", started->pid()}});
    child.process.emplace(std::move(*started));
}

void note_end(Child& child, MonotonicTime now) {
    if (now - child.started > life_that_resets) child.backoff = restart_first;
    log::warning("process ended, starting it again",
                 {{"what", child.spec.name}, {"on", child.spec.node}, {"how", child.process->wait_for_end()},
                  {"in_ms", std::chrono::duration_cast<std::chrono::milliseconds>(child.backoff).count()}});
    child.process.reset();
    child.start_at = now + child.backoff;
    child.backoff = std::min(child.backoff * 2, restart_max);
}

}  // namespace

Status supervise(const SupervisorOptions& options, std::stop_token stop) {
    const std::string cgroup2 = TRY(mount_file_systems(options.instance, options.nodes));
    TRY(kernel::move_to_cgroup(cgroup2, options.instance.cgroup() + "/system", 0));
    TRY(write_pid_file(supervisor_pid_file(options.instance), ::getpid()));
    TRY(build_topology(options.instance, options.nodes));

    const Clock& clock = system_clock();
    std::vector<Child> children;
    for (ProcessSpec& spec : processes(options)) {
        Child child{.spec = std::move(spec)};
        if (auto living = Process::adopt(options.instance, child.spec)) {
            log::info("process adopted", {{"what", child.spec.name}, {"on", child.spec.node}, {"pid", living->pid()}});
            child.process.emplace(std::move(*living));
            child.started = clock.now();
        }
        children.push_back(std::move(child));
    }
    std::vector<std::string> node_names;
    for (const NodeSpec& node : options.nodes) node_names.push_back(node.name);
    ApiPorts api_ports(options.instance, std::move(node_names));
    while (!stop.stop_requested()) {
        std::vector<pollfd> waits;
        for (Child& child : children) {
            if (!child.process && child.start_at <= clock.now()) start_child(options, cgroup2, child, clock.now());
            waits.push_back({child.process ? child.process->pidfd() : -1, POLLIN, 0});
        }
        (void)::poll(waits.data(), nfds_t(waits.size()), poll_ms);
        for (size_t i = 0; i < children.size(); i++)
            if (children[i].process && (waits[i].revents & POLLIN) != 0) note_end(children[i], clock.now());
        for (const Child& child : children)
            if (child.spec.name == "apiserver") api_ports.tend(child.process ? child.process->pid() : 0, clock.now());
    }
    return {};
}

}  // namespace weft::standalone
