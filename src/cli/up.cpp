// weft up: start (or find running) an instance, wait until every part is ready, show that it works, say what to try.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <stop_token>
#include <thread>

#include "base/fd.h"
#include "base/strings.h"
#include "cli/doctor.h"
#include "cli/progress.h"
#include "cli/prove.h"
#include "cli/verbs.h"
#include "standalone/supervisor.h"

namespace weft::cli {

static constexpr Duration ready_deadline = std::chrono::seconds(30);
static constexpr std::string_view default_node = "node-1=cn-local-a+cn-local-b";

// "node-1=cn-local-a+cn-local-b"
static Result<std::vector<standalone::NodeSpec>> parse_nodes(const std::vector<std::string>& texts) {
    std::vector<standalone::NodeSpec> nodes;
    for (const std::string& text : texts) {
        const size_t equals = text.find('=');
        standalone::NodeSpec node;
        node.name = text.substr(0, equals);
        TRY_IN("--node", check_node_name(node.name));
        if (equals != std::string::npos)
            for (const std::string_view zone : split(std::string_view(text).substr(equals + 1), '+')) node.zones.emplace_back(zone);
        if (node.zones.empty()) node.zones.emplace_back("cn-local-a");
        node.number = unsigned(nodes.size()) + 1;
        for (const standalone::NodeSpec& other : nodes)
            if (other.name == node.name) return fail(Code::invalid, "--node: \"" + node.name + "\" is given twice");
        nodes.push_back(std::move(node));
    }
    if (nodes.size() > standalone::nodes_max)
        return fail(Code::exhausted, fmt::format("--node: at most {} nodes", standalone::nodes_max));
    return nodes;
}

static Result<standalone::SupervisorOptions> options_of(const Instance& instance, const UpArgs& args) {
    std::vector<std::string> texts = args.nodes;
    if (texts.empty())  // those of the instance as it runs, or ran when its supervisor was killed
        if (const auto running = read_file(instance.run_dir() + "/nodes")) texts = split_list(*running);
    if (texts.empty()) texts.emplace_back(default_node);
    standalone::SupervisorOptions options{.instance = instance, .nodes = TRY(parse_nodes(texts)), .self_binary = args.self_binary,
                                          .dns_upstream = args.dns_upstream};
    options.cni_binary = (std::filesystem::path(args.self_binary).parent_path() / "weft-cni").string();
    return options;
}

static std::string node_text(const standalone::NodeSpec& node) {
    std::string text = node.name + "=";
    for (const std::string& zone : node.zones) text += (text.back() == '=' ? "" : "+") + zone;
    return text;
}

static std::string nodes_text(const std::vector<standalone::NodeSpec>& nodes) {
    std::string text;
    for (const standalone::NodeSpec& node : nodes) text += (text.empty() ? "" : ",") + node_text(node);
    return text;
}

static Status stop_supervisor(const Instance& instance) {
    const std::string file = standalone::supervisor_pid_file(instance);
    if (const int pid = standalone::living_pid(file); pid != 0) ::kill(pid, SIGTERM);
    return wait_until(ready_deadline, [&]() -> Status {
        if (standalone::living_pid(file) == 0) return {};
        return fail(Code::timeout, "the supervisor does not end");
    });
}

static Status start_supervisor(const Instance& instance, const UpArgs& args, const standalone::SupervisorOptions& options) {
    const std::string nodes = nodes_text(options.nodes);
    if (standalone::living_pid(standalone::supervisor_pid_file(instance)) != 0) {
        const auto running = read_file(instance.run_dir() + "/nodes");
        if (args.nodes.empty() || !running || *running == nodes) return {};
        if (!nodes.starts_with(*running + ","))
            return fail(Code::conflict, fmt::format("instance {} runs with other nodes: {}; first: weft down", instance.name(), *running));
        TRY(stop_supervisor(instance));  // more nodes join; all that runs goes on
    }
    const std::string cgroup2 = TRY(standalone::mount_file_systems(instance, options.nodes));
    standalone::ProcessSpec spec{.name = "supervisor",
                                 .arguments = {args.self_binary, "supervise", "--instance", instance.name()},
                                 .cgroup = instance.cgroup() + "/system"};
    for (const standalone::NodeSpec& node : options.nodes) {
        spec.arguments.insert(spec.arguments.end(), {"--node", node_text(node)});
    }
    if (!args.dns_upstream.empty()) spec.arguments.insert(spec.arguments.end(), {"--dns-upstream", args.dns_upstream});
    TRY(write_file(instance.run_dir() + "/nodes", nodes));
    TRY(standalone::Process::start(instance, spec, cgroup2));
    return {};
}

static Status workers_ready(const Instance& instance, const std::string& node) {
    for (const char* worker : {"dns", "alb"}) {
        const standalone::ProcessSpec spec{.name = worker, .health_socket = instance.node_run_dir(node) + "/" + worker + ".health.sock"};
        if (!standalone::is_ready(spec)) return fail(Code::unavailable, fmt::format("{} on {} is not ready", worker, node));
    }
    return {};
}

static Status nodes_ready(kube::Client& client, size_t count) {
    const kube::ObjectList nodes = TRY(client.list(kube::nodes));
    size_t ready = 0;
    for (const kube::Object& node : nodes.items) ready += kube::condition_is(node, "Ready", "True") ? 1 : 0;
    if (ready < count) return fail(Code::unavailable, fmt::format("{} of {} nodes are ready", ready, count));
    return {};
}

static void say_what_to_try(const Instance& instance, const UpArgs& args, const Proven& proven) {
    const std::string folder = std::filesystem::path(args.self_binary).parent_path().string();
    fmt::print(R"(
ready. To use it:
  export KUBECONFIG={} PATH={}:$PATH WEFT_INSTANCE={}
)",
               instance.kubeconfig(), folder, instance.name());
    if (proven.public_address.empty()) return;
    fmt::print(R"(to try:
  kubectl get pods,svc,ing,vpc,vsw,ablk -o wide        (without kubectl: weft get pods -o wide)
  weft exec internet -- curl -s http://{}/
  weft exec internet -- curl -s -H 'Host: shop.example.test' http://{}/cart
  kubectl exec client -- curl -s http://web.default.svc.cluster.local
  kubectl scale deployment web --replicas 5 ; kubectl -n blue get pods -o wide
  weft status ; weft drops ; weft down
)",
               proven.public_address, proven.ingress_address);
}

static Status run_up(const Common& common, const UpArgs& args) {
    const Instance instance = TRY(Instance::parse(common.instance.empty() ? default_instance : common.instance));
    TRY(examine_before_up(instance, args.self_binary));
    const standalone::SupervisorOptions options = TRY(options_of(instance, args));
    fmt::print("weft up: instance {}\n", instance.name());
    TRY(step("supervisor", [&] { return start_supervisor(instance, args, options); }));
    for (const standalone::ProcessSpec& process : standalone::processes(options)) {
        const std::string where = process.node.empty() ? "" : " on " + process.node;
        TRY(step(process.name + where + " ready", [&] {
            return wait_until(ready_deadline, [&]() -> Status {
                if (standalone::is_ready(process)) return {};
                return fail(Code::unavailable, "not ready; its log: " + standalone::log_file(instance, process));
            });
        }));
    }
    const kube::Endpoint endpoint = TRY(kube::read_kubeconfig(instance.kubeconfig()));
    const auto client = kube::connect(endpoint);
    TRY(step("nodes ready", [&] { return wait_until(ready_deadline, [&] { return nodes_ready(*client, options.nodes.size()); }); }));
    for (const standalone::NodeSpec& node : options.nodes)
        TRY(step("dns and alb ready on " + node.name,
                 [&] { return wait_until(ready_deadline, [&] { return workers_ready(instance, node.name); }); }));
    Proven proven;
    if (!args.examples.empty()) {
        const auto kinds = TRY(kube::discover(endpoint));
        proven = TRY(prove({instance, endpoint, *client, kinds, args.examples}));
    }
    say_what_to_try(instance, args, proven);
    return {};
}

int up(const Common& common, const UpArgs& args) {
    const Status status = run_up(common, args);
    return status ? 0 : report(status.error());
}

int supervise(const Common& common, const UpArgs& args) {
    const auto instance = Instance::parse(common.instance);
    if (!instance) return report(instance.error());
    const auto options = options_of(*instance, args);
    if (!options) return report(options.error());
    // SIGTERM and SIGINT are blocked in every thread (cmd/) and awaited here.
    std::stop_source stop;
    std::thread([&stop] {
        sigset_t signals;
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        int number = 0;
        sigwait(&signals, &number);
        stop.request_stop();
    }).detach();
    const Status status = standalone::supervise(*options, stop.get_token());
    if (!status) return report(status.error());
    return 0;
}

}  // namespace weft::cli
