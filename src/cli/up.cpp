// weft up: start (or find running) an instance, wait until every part is ready, show that it works, say what to try.
#include <fmt/format.h>

#include <filesystem>

#include "cli/doctor.h"
#include "cli/progress.h"
#include "cli/prove.h"
#include "cli/supervise.h"
#include "cli/verbs.h"

namespace weft::cli {

static constexpr Duration ready_deadline = std::chrono::seconds(30);

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
    if (!args.examples.empty() && !std::filesystem::exists(args.examples + "/world.yaml"))
        return fail(Code::not_found, "--examples: no world.yaml in " + args.examples + "; the repository's folder examples/ has one");
    const standalone::SupervisorOptions options = TRY(supervisor_options(instance, args));
    fmt::print("weft up: instance {}\n", instance.name());
    TRY(step("supervisor", [&] { return start_supervisor(options); }));
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

}  // namespace weft::cli
