// Cgroup link: a socket program attached to a cgroup, kept by a pin.
//
// ensure_cgroup_link() adopts the pinned link if it holds our program on that cgroup, updates its program in place if
// the tag differs, and otherwise (none, or of a cgroup that is gone) makes one under a temporary name and renames it
// into place: at every instant a killed process leaves the old link or the new one. Source: bpf(2), BPF_LINK_CREATE,
// _UPDATE.
#pragma once
#include <string>

#include "base/result.h"
#include "kernel/bpf_object.h"
#include "kernel/tc.h"

namespace weft::kernel {

enum class SocketHook : uint8_t { connect4, connect6, getpeername4, getpeername6 };

// `cgroup` is a directory of a cgroup2 mount, `pin` a path in a BPF file system (its directory is made).
Result<Attached> ensure_cgroup_link(const std::string& pin, const std::string& cgroup, SocketHook hook,
                                    const Program& program);

// All socket programs of the node on its pods' cgroup, pinned as <bpf_dir>/link/<hook>.
Result<Attached> attach_socket_programs(const BpfObject& object, const std::string& bpf_dir, const std::string& cgroup);
Status detach_socket_programs(const std::string& bpf_dir);  // absent is success

}  // namespace weft::kernel
