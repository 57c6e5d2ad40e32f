// Sandbox: what a pod has before its first container runs: a network namespace wired by the real weft-cni, files under
// /etc, a shim; and its record on disk, by which the next runtime knows it. Blocking: called by hands.
//
//   node_run_dir/pods/<uid>/   pod.json (written last: what it names is whole), shim.sock, etc/, <container>.plan.json
//   node_run_dir/pods/<uid>/volumes/<name>      in memory: what ConfigMaps, Secrets and the like hold
//   node_state_dir/pods/<uid>/<container>/<attempt>.log
//   node_state_dir/pods/<uid>/.volumes/<name>   emptyDir; a container's name never begins with a dot
//
// Threads: any; one call per pod at a time. Everything may be called again after a crash at any step.
#pragma once
#include <string>
#include <vector>

#include "base/instance.h"
#include "kube/object.h"
#include "runtime/main.h"

namespace weft::runtime {

struct Record {
    kube::ObjectKey key;
    std::string uid;
    std::vector<std::string> ips;
};

struct PodFiles {
    std::string resolv_conf, hosts, hostname;
};

class SandboxMaker {
public:
    // Finds the cgroup2 mount and makes the node's folders.
    static Result<SandboxMaker> create(const Options& options);

    // Wires the namespace, writes files and record, starts the shim. `hosts` needs the address, so files come by a
    // function.
    Result<Record> make(const kube::ObjectKey& key, const std::string& uid,
                        const std::function<PodFiles(const std::vector<std::string>& ips)>& files) const;
    // After a shim was lost: what is left of its processes goes, a new one starts in the same namespace.
    Status restart_shim(const std::string& uid) const;
    // Ends all processes, CNI DEL, namespace, cgroup, run folder. Twice is success.
    Status unmake(const Record& record) const;

    std::vector<Record> records() const;  // unreadable ones are logged and left out
    void kill_processes(const std::string& uid) const;
    Status remove_state(const std::string& uid) const;  // logs
    std::vector<std::string> state_uids() const;

    std::string folder(const std::string& uid) const;
    std::string netns_path(const std::string& uid) const;
    std::string cgroup(const std::string& uid, std::string_view container) const;  // absolute
    std::string log_file(const std::string& uid, std::string_view container, unsigned attempt) const;
    std::string plan_file(const std::string& uid, std::string_view container) const;  // as it was started
    std::string volume_folder(const std::string& uid, std::string_view volume, bool on_disk) const;

private:
    explicit SandboxMaker(const Options& options) : options_(options) {}

    Result<std::vector<std::string>> cni_add(const kube::ObjectKey& key, const std::string& uid) const;
    Status cni_del(const kube::ObjectKey& key, const std::string& uid) const;
    Result<std::string> call_cni(std::string_view command, const kube::ObjectKey& key, const std::string& uid) const;

    Options options_;
    std::string cgroup_mount_;
};

}  // namespace weft::runtime
