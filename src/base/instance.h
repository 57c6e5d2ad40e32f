// Instance: every name and path of one weft on this machine. Two instances never meet, because every name, pin, socket,
// state folder and cgroup carries the instance and is made here. Source: docs/design/standalone.md.
//
// Names: instance [a-z0-9]{1,12}; nodes are DNS labels of at most 20 characters, `fabric` and `internet` are reserved.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weft {

inline constexpr std::string_view default_instance = "weft";

class Instance {
public:
    static Result<Instance> parse(std::string_view name);

    const std::string& name() const { return name_; }

    // Folders: run_dir is 0700 and gone after a reboot; state_dir outlives `down` and goes with `down --purge`.
    std::string run_dir() const { return "/run/weft/" + name_; }
    std::string state_dir() const { return "/var/lib/weft/" + name_; }
    std::string api_socket() const { return run_dir() + "/api.sock"; }
    std::string token_file(std::string_view component) const { return run_dir() + "/tokens/" + std::string(component); }
    std::string kubeconfig() const { return state_dir() + "/kubeconfig"; }
    std::string bpf_mount() const { return run_dir() + "/bpf"; }
    std::string bpf_dir(std::string_view node) const { return bpf_mount() + "/" + std::string(node); }

    // Per node: sockets in node_run_dir ("agent.sock" = CNI, "runtime.sock" = logs and exec, "alb.adopt", "dns.adopt").
    std::string node_run_dir(std::string_view node) const { return run_dir() + "/" + std::string(node); }
    std::string node_state_dir(std::string_view node) const { return state_dir() + "/" + std::string(node); }
    std::string agent_socket(std::string_view node) const { return node_run_dir(node) + "/agent.sock"; }
    std::string runtime_socket(std::string_view node) const { return node_run_dir(node) + "/runtime.sock"; }

    // Network namespaces, as `ip netns` shows them; netns_path is their file.
    std::string fabric_netns() const { return "weft-" + name_ + "-fabric"; }
    std::string internet_netns() const { return "weft-" + name_ + "-internet"; }
    std::string node_netns(std::string_view node) const { return "weft-" + name_ + "-" + std::string(node); }
    std::string vpc_netns(std::string_view node, uint32_t vni) const {
        return node_netns(node) + "-v" + std::to_string(vni);
    }
    std::string pod_netns(std::string_view pod_uid) const { return "weft-" + name_ + "-pod-" + std::string(pod_uid); }
    static std::string netns_path(std::string_view netns_name) { return "/run/netns/" + std::string(netns_name); }

    // Below the cgroup2 mount.
    std::string cgroup() const { return "weft-" + name_; }
    std::string node_cgroup(std::string_view node) const { return cgroup() + "/" + std::string(node); }
    std::string system_cgroup(std::string_view node) const { return node_cgroup(node) + "/system"; }
    std::string pods_cgroup(std::string_view node) const { return node_cgroup(node) + "/pods"; }
    std::string exec_cgroup(std::string_view node) const { return node_cgroup(node) + "/exec"; }  // `weft exec NODE`

private:
    explicit Instance(std::string name) : name_(std::move(name)) {}

    std::string name_;
};

Status check_node_name(std::string_view node);

}  // namespace weft
