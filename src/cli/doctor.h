// Doctor: can a weft run on this machine, and what here would surprise its owner? Looking (Facts) and judging
// (Findings) are apart: the judgement is pure and is tested with facts of machines that we do not have.
//
// A finding is one line and its fix. `stop` means that `weft up` cannot work; `warn` that something works less well;
// `note` answers what people ask first ("is it my firewall?"). Threads: the verb's. Source: issue 4 part 3,
// docs/operate/doctor.md.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/instance.h"
#include "base/result.h"
#include "net/address.h"

namespace weft::cli {

inline constexpr unsigned kernel_major_min = 6, kernel_minor_min = 1;
inline constexpr uint64_t disk_bytes_min = 64ull << 20;  // the store cannot even start a new file: stop
inline constexpr uint64_t disk_bytes_good = 1ull << 30;  // below: warn
inline constexpr uint64_t disk_files_good = 10'000;      // inodes
inline constexpr uint64_t open_files_good = 8192;        // descriptors of one process, hard limit
inline constexpr uint64_t inotify_instances_good = 128;  // one per `kubectl logs -f`

// The machine as it is. What could not be asked stays at the default, which finds nothing.
struct Facts {
    bool root = true;
    std::string kernel;  // uname -r
    bool has_btf = true;
    bool has_bpf_filesystem = true;
    bool root_is_mounted = true;  // `/` is a mount point: a pod's mounts are made slaves of it
    bool has_cgroup2 = true;
    std::string cgroup2_mount;        // of the hierarchy's root; "" = not mounted
    bool cgroup2_is_partial = false;  // only a subtree is mounted: we are inside a container
    std::set<std::string> cgroup1_controllers;
    std::optional<Error> data_plane;  // why kernel::probe_data_plane() failed
    std::string jit = "1";            // net.core.bpf_jit_enable
    std::string rp_filter = "0";      // net.ipv4.conf.default.rp_filter, which new namespaces inherit
    std::string ip_forward = "0";
    std::set<std::string> running;                               // process names, of those that we know something about
    std::vector<std::string> machine_tables;                     // firewall tables of the machine's own namespace
    std::map<std::string, std::vector<std::string>> our_tables;  // namespace of the instance → tables
    std::vector<net::Prefix> routes;                             // of the machine's namespace, without the default
    std::string store_folder;
    uint64_t disk_free_bytes = UINT64_MAX;
    uint64_t disk_free_files = UINT64_MAX;
    uint64_t open_files_max = UINT64_MAX;
    uint64_t inotify_instances_max = UINT64_MAX;
    std::vector<std::string> missing_programs;  // of those that the image `client` is for
    std::string missing_cni_binary;             // the path where weft-cni should be, "" = it is there
};

struct Finding {
    enum class Level : uint8_t { ok, note, warn, stop };
    Level level = Level::ok;
    std::string subject;  // "kernel", "rp_filter"
    std::string text;
    std::string fix = {};           // "" = nothing to do
    Code code = Code::unavailable;  // of a stop: decides the exit code
};

// `instance` may name one that does not run. `self_binary`: weft-cni lies beside it.
Facts look_at_machine(const Instance& instance, const std::string& self_binary);

// Every subject once, in a fixed order.
std::vector<Finding> judge(const Facts& facts);

// The worst stop's exit code; 0 when nothing stops.
int exit_code_of(const std::vector<Finding>& findings);

std::string line_of(const Finding& finding);  // "stop  kernel       5.10 is older than 6.1; fix: ..."

// The first stop as an error; prints warnings. What `weft up` does before anything else.
Status examine_before_up(const Instance& instance, const std::string& self_binary);

}  // namespace weft::cli
