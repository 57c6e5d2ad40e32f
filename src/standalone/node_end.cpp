#include "standalone/node_end.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/fd.h"
#include "kernel/cgroup.h"
#include "kernel/link.h"
#include "kernel/netlink.h"
#include "kernel/netns.h"
#include "kernel/ownership.h"
#include "standalone/supervisor.h"

namespace weft::standalone {

namespace fs = std::filesystem;

// A pod's cgroup is named by its uid.
static std::vector<std::string> pods_of(const Instance& instance, const std::string& cgroup2, const std::string& node) {
    std::vector<std::string> uids;
    std::error_code error;
    for (fs::directory_iterator at(cgroup2 + "/" + instance.pods_cgroup(node), error), end; !error && at != end; at.increment(error))
        if (at->is_directory(error)) uids.push_back(at->path().filename().string());
    return uids;
}

static bool is_vpc_netns_of(const Instance& instance, const std::string& node, std::string_view name) {
    const std::string prefix = instance.node_netns(node) + "-v";
    if (!name.starts_with(prefix) || name.size() == prefix.size()) return false;
    name.remove_prefix(prefix.size());
    return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Status end_node(const Instance& instance, const NodeSpec& node, NodeState state) {
    const std::string cgroup2 = TRY(kernel::find_cgroup2());
    const std::vector<std::string> pods = pods_of(instance, cgroup2, node.name);
    TRY(kernel::kill_cgroup(cgroup2, instance.node_cgroup(node.name)));
    // First from the street: a namespace may live on for a while, kept by a socket in it, and would go on answering. The
    // API server's socket is bound to the host endpoint's device and goes with it.
    TRY(leave_street(instance, node));
    if (kernel::Netns::exists(instance.node_netns(node.name))) {
        kernel::Netlink netlink = TRY(kernel::Netlink::open(TRY(kernel::Netns::open(instance.node_netns(node.name)))));
        TRY(kernel::delete_link(netlink, kernel::host_link));
    }
    for (const std::string& name : TRY(kernel::Netns::list()))
        if (name == instance.node_netns(node.name) || is_vpc_netns_of(instance, node.name, name))
            TRY(kernel::Netns::remove(name));
    for (const std::string& uid : pods)
        if (kernel::Netns::exists(instance.pod_netns(uid))) TRY(kernel::Netns::remove(instance.pod_netns(uid)));
    TRY(remove_tree(instance.bpf_dir(node.name)));
    TRY(remove_tree(instance.node_run_dir(node.name)));
    for (const ProcessSpec& process : processes({.instance = instance, .nodes = {node}}))
        if (process.node == node.name) (void)::unlink(pid_file(instance, process).c_str());
    TRY(kernel::remove_cgroup(cgroup2, instance.node_cgroup(node.name)));
    if (state == NodeState::removed) TRY(remove_tree(instance.node_state_dir(node.name)));
    return {};
}

}  // namespace weft::standalone
