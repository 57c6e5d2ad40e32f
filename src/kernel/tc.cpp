#include "kernel/tc.h"

#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "kernel/ownership.h"

namespace weft::kernel {
namespace {

uint32_t parent_of(Direction direction) {
    return TC_H_MAKE(TC_H_CLSACT, direction == Direction::ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

// Priority in the upper half, protocol in the lower: "every protocol".
constexpr uint32_t filter_info = filter_priority << 16 | uint32_t(__builtin_bswap16(0x0003 /* ETH_P_ALL */));

std::string doing(std::string_view what, int ifindex) {
    return std::string(what) + " on interface " + std::to_string(ifindex);
}

tcmsg filter_header(int ifindex, Direction direction) {
    tcmsg header{};
    header.tcm_family = AF_UNSPEC;
    header.tcm_ifindex = ifindex;
    header.tcm_parent = parent_of(direction);
    header.tcm_info = filter_info;
    header.tcm_handle = filter_handle;
    return header;
}

Status add_clsact(Netlink& netlink, int ifindex) {
    Message message(RTM_NEWQDISC, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    tcmsg header{};
    header.tcm_ifindex = ifindex;
    header.tcm_parent = TC_H_CLSACT;
    header.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
    message.header(header);
    message.put_string(TCA_KIND, "clsact");
    const Status added = netlink.request(message);
    if (added || added.error().code == Code::already_exists) return {};
    return fail(added.error().in(doing("add clsact", ifindex)));
}

Status write_filter(Netlink& netlink, int ifindex, Direction direction, const Program& program) {
    // CREATE without EXCL: makes the filter, or replaces the one of this handle and priority in the same request.
    Message message(RTM_NEWTFILTER, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE);
    message.header(filter_header(ifindex, direction));
    message.put_string(TCA_KIND, "bpf");
    const size_t options = message.begin(TCA_OPTIONS);
    message.put_u32(TCA_BPF_FD, uint32_t(program.fd.get()));
    message.put_string(TCA_BPF_NAME, program.name);
    message.put_u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
    message.end(options);
    return netlink.request(message);
}

// Our filter in one message of a dump, if it is that.
std::optional<AttachedFilter> read_filter(const nlmsghdr& message, Direction direction) {
    if (message.nlmsg_type != RTM_NEWTFILTER) return std::nullopt;
    tcmsg header;
    std::memcpy(&header, NLMSG_DATA(&message), sizeof(header));
    if (header.tcm_parent != parent_of(direction) || header.tcm_handle != filter_handle ||
        header.tcm_info >> 16 != filter_priority) {
        return std::nullopt;
    }
    AttachedFilter filter;
    for_each_attribute(message, sizeof(tcmsg), [&](uint16_t type, const void* data, size_t bytes) {
        if (type != TCA_OPTIONS) return;
        for_each_nested(data, bytes, [&](uint16_t option, const void* value, size_t value_bytes) {
            if (option == TCA_BPF_ID && value_bytes == sizeof(filter.program_id)) {
                std::memcpy(&filter.program_id, value, value_bytes);
            } else if (option == TCA_BPF_TAG && value_bytes == filter.tag.size()) {
                std::memcpy(filter.tag.data(), value, value_bytes);
            }
        });
    });
    return filter;
}

}  // namespace

Result<std::optional<AttachedFilter>> find_filter(Netlink& netlink, int ifindex, Direction direction) {
    Message message(RTM_GETTFILTER, NLM_F_REQUEST | NLM_F_DUMP);
    tcmsg header{};
    header.tcm_family = AF_UNSPEC;
    header.tcm_ifindex = ifindex;
    header.tcm_parent = parent_of(direction);
    message.header(header);
    std::optional<AttachedFilter> found;
    TRY_IN(doing("list filters", ifindex), netlink.dump(message, [&](const nlmsghdr& answer) {
        if (const auto filter = read_filter(answer, direction)) found = filter;
    }));
    return found;
}

Result<Attached> attach_filter(Netlink& netlink, int ifindex, Direction direction, const Program& program) {
    const auto attached = TRY(find_filter(netlink, ifindex, direction));
    if (attached && attached->tag == program.tag) return Attached::unchanged;
    // The qdisc outlives a filter, so only a first attachment may need it; without one this answers EINVAL or ENOENT.
    if (!attached) TRY(add_clsact(netlink, ifindex));
    TRY_IN(doing("attach " + program.name, ifindex), write_filter(netlink, ifindex, direction, program));
    return Attached::changed;
}

Status attach_first_filter(Netlink& netlink, int ifindex, Direction direction, const Program& program) {
    TRY(add_clsact(netlink, ifindex));
    TRY_IN(doing("attach " + program.name, ifindex), write_filter(netlink, ifindex, direction, program));
    return {};
}

Status detach_filter(Netlink& netlink, int ifindex, Direction direction) {
    if (!TRY(find_filter(netlink, ifindex, direction))) return {};
    Message message(RTM_DELTFILTER, NLM_F_REQUEST | NLM_F_ACK);
    message.header(filter_header(ifindex, direction));
    message.put_string(TCA_KIND, "bpf");
    const Status removed = netlink.request(message);
    if (removed || removed.error().code == Code::not_found) return {};
    return fail(removed.error().in(doing("detach filter", ifindex)));
}

}  // namespace weft::kernel
