// cgroup2: finding the hierarchy, our folders in it, moving and ending what lives there.
//
// Hybrid layouts have it beside the v1 controllers; where nobody mounted it we do (any mount shows the same hierarchy).
// A socket keeps the cgroup of its creator, so a process is put into its folder before it runs. Source: cgroups(7),
// docs/design/standalone.md. Threads: any.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weft::kernel {

// The mount point of the hierarchy's root. `fallback` is mounted there when there is none yet.
Result<std::string> find_cgroup2(const std::string& fallback = "/run/weft/cgroup");

// `relative` as base/instance.h names it: "weft-I/node-1/pods".
Status create_cgroup(const std::string& mount, std::string_view relative);
Status move_to_cgroup(const std::string& mount, std::string_view relative, int pid);  // 0 = the caller
std::vector<int> cgroup_processes(const std::string& mount, std::string_view relative);  // of the whole subtree
// Ends every process of the subtree at once (SIGKILL) and waits until it is empty; absent is success.
Status kill_cgroup(const std::string& mount, std::string_view relative);
Status remove_cgroup(const std::string& mount, std::string_view relative);  // subtree, leaves first; absent is success

}  // namespace weft::kernel
