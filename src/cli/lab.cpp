#include "cli/lab.h"

#include <fmt/format.h>

#include <algorithm>

#include "cloud/annotations.h"
#include "kube/client.h"
#include "standalone/topology.h"

namespace weft::cli {

static constexpr unsigned zones_max = 26;  // a letter each

static std::string zone_name(unsigned i) { return std::string("cn-local-") + char('a' + i); }

Result<std::vector<std::string>> lab_nodes(const LabArgs& lab) {
    if (lab.nodes < 1 || lab.nodes > standalone::nodes_max)
        return fail(Code::invalid, fmt::format("--nodes: {}: must be 1 to {}", lab.nodes, standalone::nodes_max));
    if (lab.zones < 1 || lab.zones > zones_max)
        return fail(Code::invalid, fmt::format("--zones: {}: must be 1 to {}", lab.zones, zones_max));
    std::vector<std::string> nodes;
    for (unsigned i = 0; i < std::max(lab.nodes, lab.zones); ++i) {
        if (i < lab.nodes) nodes.push_back(fmt::format("n{}={}", i + 1, zone_name(i % lab.zones)));
        else nodes[i % lab.nodes] += "+" + zone_name(i);
    }
    return nodes;
}

// Node, zone, underlay address, pods: what the API knows, so what kubectl would show.
static Status say_what_runs(const Common& common) {
    const Instance instance = TRY(Instance::parse(common.instance.empty() ? default_instance : common.instance));
    const auto client = kube::connect(TRY(kube::read_kubeconfig(instance.kubeconfig())));
    const kube::ObjectList pods = TRY(client->list(kube::pods));
    fmt::print("\n{:<8} {:<14} {:<14} {:<8} {}\n", "NODE", "ZONE", "ADDRESS", "READY", "PODS");
    for (const kube::Object& node : TRY(client->list(kube::nodes)).items) {
        std::string address, names;
        for (const json::Value& entry : node.array({"status", "addresses"}))
            if (address.empty() && json::find_string(entry, {"type"}) == "InternalIP")
                address = json::find_string(entry, {"address"});
        for (const kube::Object& pod : pods.items)
            if (pod.string({"spec", "nodeName"}) == node.name()) names += (names.empty() ? "" : " ") + pod.key().text();
        fmt::print("{:<8} {:<14} {:<14} {:<8} {}\n", node.name(), node.label(cloud::zone_label), address,
                   kube::condition_is(node, "Ready", "True") ? "yes" : "no", names);
    }
    fmt::print(R"(
to try across nodes:
  kubectl get nodes -L topology.kubernetes.io/zone ; kubectl get pods -A -o wide
  weft status                                          what runs, and what each node is like
  weft exec n1 -- ip -br link                          inside a node
  kubectl cordon n1 ; kubectl rollout restart deployment web ; kubectl get pods -o wide
)");
    return {};
}

int lab(const Common& common, const UpArgs& args, const LabArgs& lab) {
    const auto nodes = lab_nodes(lab);
    if (!nodes) return report(nodes.error());
    UpArgs up_args = args;
    up_args.nodes = *nodes;
    if (const int code = up(common, up_args); code != 0) return code;
    const Status said = say_what_runs(common);
    return said ? 0 : report(said.error());
}

}  // namespace weft::cli
