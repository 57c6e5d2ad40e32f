#include "cli/node.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/announcer.h"
#include "base/strings.h"
#include "cli/ask.h"
#include "cli/progress.h"
#include "cli/supervise.h"
#include "standalone/node_end.h"
#include "standalone/node_list.h"

namespace weft::cli {

using standalone::NodeSpec;

static constexpr Duration announce_deadline = std::chrono::seconds(10);
static constexpr Duration release_deadline = std::chrono::seconds(30);
static constexpr std::string_view lease_namespace = "kube-node-lease";

static Result<NodeSpec> find_node(const Instance& instance, const std::string& name) {
    std::string known;
    for (NodeSpec& node : TRY(standalone::read_nodes(instance))) {
        if (node.name == name) return std::move(node);
        known += " " + node.name;
    }
    return fail(Code::not_found, "no node named \"" + name + "\"; there are:" + known);
}

static Result<std::vector<kube::Object>> pods_on(kube::Client& client, const std::string& node) {
    kube::ObjectList list = TRY(client.list(kube::pods, {.field_selector = "spec.nodeName=" + node}));
    return std::move(list.items);
}

static Status gone_is_fine(const Status& status) {
    return !status && status.error().code == Code::not_found ? Status{} : status;
}

static Status refuse_lone_pods(const std::vector<kube::Object>& pods) {
    std::string lone;
    for (const kube::Object& pod : pods)
        if (pod.owners().empty() && !pod.deleting()) lone += (lone.empty() ? "" : ", ") + pod.key().text();
    if (lone.empty()) return {};
    return fail(Code::conflict, "pods that nobody would make anew on another node: " + lone + "; delete them, or give --force");
}

// No new pod comes here, and the public addresses go to other nodes.
static Status cordon(kube::Client& client, const std::string& node) {
    const json::Object patch{
        {"metadata", json::Object{{"labels", json::Object{{agent::exclusion_label, ""}}}}},
        {"spec", json::Object{{"unschedulable", true}}}};
    const auto patched = client.patch(kube::nodes, {"", node}, kube::PatchType::merge, patch);
    return patched ? Status{} : gone_is_fine(fail(patched.error()));
}

// An agent that does not answer announces only what the others see for themselves that nobody answers.
static Status announces_nothing(const Instance& instance, const std::string& node) {
    const auto metrics = ask_process(instance.node_run_dir(node) + "/agent.health.sock", "/metrics");
    if (!metrics) return {};
    for (const std::string_view line : split(*metrics, '\n'))
        if (line.starts_with("weft_announced_addresses ") && !line.ends_with(" 0"))
            return fail(Code::unavailable, "it still announces public addresses");
    return {};
}

static Status end_pods(kube::Client& client, const std::string& node, const NodeArgs& args) {
    kube::DeleteOptions options;
    if (args.force) options.grace_period_s = 0;
    for (const kube::Object& pod : TRY(pods_on(client, node))) {
        options.uid = pod.uid();
        TRY_IN("delete pod " + pod.key().text(), gone_is_fine(client.remove(kube::pods, pod.key(), options)));
    }
    return wait_until(std::chrono::seconds(args.wait_s), [&]() -> Status {
        const auto left = TRY(pods_on(client, node));
        if (left.empty()) return {};
        return fail(Code::unavailable, fmt::format("{} pods are still there, pod {} among them", left.size(), left[0].key().text()));
    });
}

static Status forget(kube::Client& client, const std::string& node) {
    TRY_IN("node", gone_is_fine(client.remove(kube::nodes, {"", node})));
    return gone_is_fine(client.remove(kube::leases, {std::string(lease_namespace), node}));
}

static Status leases_returned(kube::Client& client, const std::string& node) {
    size_t held = 0;
    for (const kube::Object& block : TRY(client.list(kube::address_blocks)).items)
        if (block.string({"spec", "node"}) == node) ++held;
    if (held == 0) return {};
    return fail(Code::unavailable, fmt::format("{} AddressBlocks are still lent to it", held));
}

static Status run_remove(const Common& common, const UpArgs& up, const NodeArgs& args) {
    const Instance instance = TRY(find_instance(common));
    const NodeSpec node = TRY(find_node(instance, args.node));
    standalone::SupervisorOptions options = TRY(supervisor_options(instance, {.self_binary = up.self_binary}));
    if (options.nodes.size() == 1)
        return fail(Code::conflict, node.name + " is the only node; to end all of it: weft down");
    const auto client = kube::connect(TRY(kube::read_kubeconfig(instance.kubeconfig())));
    if (!args.force) TRY(refuse_lone_pods(TRY(pods_on(*client, node.name))));
    fmt::print("weft node remove: instance {}, node {}\n", instance.name(), node.name);
    TRY(step("no new pods", [&] { return cordon(*client, node.name); }));
    TRY(step("its public addresses went to others",
             [&] { return wait_until(announce_deadline, [&] { return announces_nothing(instance, node.name); }); }));
    TRY(step("its pods ended", [&] { return end_pods(*client, node.name, args); }));
    std::erase_if(options.nodes, [&](const NodeSpec& other) { return other.name == node.name; });
    TRY(step("its processes ended", [&]() -> Status {
        TRY(stop_supervisor(instance));
        return standalone::end_node(instance, node, standalone::NodeState::removed);
    }));
    TRY(step("supervisor", [&] { return start_supervisor(options); }));
    TRY(step("the API forgot it", [&] { return forget(*client, node.name); }));
    return step("its leases returned",
                [&] { return wait_until(release_deadline, [&] { return leases_returned(*client, node.name); }); });
}

int node_remove(const Common& common, const UpArgs& up, const NodeArgs& args) {
    const Status done = run_remove(common, up, args);
    return done ? 0 : report(done.error());
}

static std::vector<std::string> texts_of(const std::vector<NodeSpec>& nodes) {
    std::vector<std::string> texts;
    for (const NodeSpec& node : nodes) texts.push_back(standalone::node_text(node));
    return texts;
}

int node_add(const Common& common, const UpArgs& up, const NodeArgs& args) {
    const auto instance = find_instance(common);
    if (!instance) return report(instance.error());
    const auto running = standalone::read_nodes(*instance);
    if (!running) return report(running.error());
    Common of_it = common;
    of_it.instance = instance->name();
    UpArgs all = up;
    all.nodes = texts_of(*running);
    all.nodes.push_back(args.node);
    return cli::up(of_it, all);
}

static Status end_for_reboot(const Instance& instance, const std::string& name) {
    const NodeSpec node = TRY(find_node(instance, name));
    fmt::print("weft node reboot: instance {}, node {}\n", instance.name(), node.name);
    return step("everything of it ended", [&]() -> Status {
        TRY(stop_supervisor(instance));
        return standalone::end_node(instance, node, standalone::NodeState::kept);
    });
}

int node_reboot(const Common& common, const UpArgs& up, const NodeArgs& args) {
    const auto instance = find_instance(common);
    if (!instance) return report(instance.error());
    if (const Status ended = end_for_reboot(*instance, args.node); !ended) return report(ended.error());
    Common of_it = common;
    of_it.instance = instance->name();
    return cli::up(of_it, {.self_binary = up.self_binary});  // as it starts, so it starts again
}

}  // namespace weft::cli
