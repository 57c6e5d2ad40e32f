// BpfObject: the node's whole data plane, loaded: its programs and its pinned maps.
//
// install(dir) makes it so whatever was there before: pinned maps are adopted (their names carry the ABI version),
// missing ones made and pinned; programs are loaded, and where a pinned one has the same tag and uses the same maps
// that one is kept, so its id survives our restart. Fails as a whole: nothing new stays pinned. Killed in the middle it
// leaves maps that the next run adopts.
//   <dir>/<map>_v2        maps          <dir>/program/<name>   programs
// An ABI newer than ours found in dir → conflict: an older program never starts on newer maps.
// Threads: install on one; the fds may be used by any. `dir` lies in a BPF file system. Source: bpf(2), libbpf.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "kernel/bpf_map.h"

struct bpf_object;  // libbpf's

namespace weft::kernel {

// What user space attaches, by the name of its function.
enum class ProgramName : uint8_t {
    pod_egress,      // tc ingress of a pod's host veth, and of weft_net
    uplink_ingress,  // tc ingress of the uplink
    uplink_egress,   // tc egress of the uplink and of the loopback
    tunnel_ingress,  // tc ingress of the VXLAN device
    connect4,        // cgroup
    connect6,
    getpeername4,
    getpeername6,
};
inline constexpr size_t program_names = 8;

using ProgramTag = std::array<uint8_t, 8>;

struct Program {
    Fd fd;
    std::string name;
    uint32_t id = 0;
    ProgramTag tag{};
    uint32_t verified_instructions = 0;
};

class BpfObject {
public:
    static Result<BpfObject> install(const std::string& dir);

    NodeMaps& maps() { return maps_; }
    const NodeMaps& maps() const { return maps_; }

    const Program& program(ProgramName name) const { return programs_[size_t(name)]; }

private:
    BpfObject() = default;

    NodeMaps maps_;
    std::array<Program, program_names> programs_;
};

// For readers beside the agent (`weft conntrack`, kernel/rehearsal.h): the maps pinned in dir, of this ABI version.
// not_found when there are none.
Result<NodeMaps> open_pinned_maps(const std::string& dir);
std::vector<std::string> pinned_map_names();  // "endpoints_v1", in the order of bpf/abi/maps.h
// The same members out of a loaded object that pins nothing; the descriptors are duplicates.
Result<NodeMaps> maps_of_object(const ::bpf_object* object);

// What clang made of the file that has this program: pod_egress, uplink_ingress, tunnel_ingress.
std::span<const std::byte> object_file(ProgramName program);

// Mounts a BPF file system there, once; the directory is made. Already mounted is success.
Status mount_bpf_filesystem(const std::string& path);
Status unmount_bpf_filesystem(const std::string& path);  // not mounted is success

}  // namespace weft::kernel
