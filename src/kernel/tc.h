// tc: our one filter on an interface: cls_bpf on clsact, direct action, at filter_handle and filter_priority.
//
// attach() says whether it changed anything: a filter whose program has our tag stays as it is; another one is replaced
// in one request, without a gap for the packets in between. The filter goes with its interface. `netlink` decides the
// network namespace. Errors name the interface. Source: tc-bpf(8); net/sched/cls_bpf.c.
#pragma once
#include <optional>

#include "base/result.h"
#include "kernel/bpf_object.h"
#include "kernel/netlink.h"

namespace weft::kernel {

enum class Direction : uint8_t { ingress, egress };

struct AttachedFilter {
    uint32_t program_id = 0;
    ProgramTag tag{};
    bool operator==(const AttachedFilter&) const = default;
};

enum class Attached : uint8_t { unchanged, changed };

Result<Attached> attach_filter(Netlink& netlink, int ifindex, Direction direction, const Program& program);
// To an interface that was just made and has none: asks nothing first, so it may be part of Netlink::together().
Status attach_first_filter(Netlink& netlink, int ifindex, Direction direction, const Program& program);
Result<std::optional<AttachedFilter>> find_filter(Netlink& netlink, int ifindex, Direction direction);
Status detach_filter(Netlink& netlink, int ifindex, Direction direction);  // not attached is success

}  // namespace weft::kernel
