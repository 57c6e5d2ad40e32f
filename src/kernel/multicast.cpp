#include "kernel/multicast.h"

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/socket.h>

#include <cstring>

namespace weft::kernel {

net::Mac solicited_node_group(const net::Address& ipv6) {
    net::Mac group{{0x33, 0x33, 0xff, 0, 0, 0}};
    std::memcpy(group.bytes.data() + 3, ipv6.bytes.data() + 13, 3);
    return group;
}

Result<MulticastGroups> MulticastGroups::open(uint32_t ifindex) {
    Fd fd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));  // protocol 0: it receives nothing
    if (!fd) return fail_errno("packet socket for the groups of link " + std::to_string(ifindex));
    return MulticastGroups(std::move(fd), ifindex);
}

Status MulticastGroups::change(int option, const net::Mac& group) const {
    packet_mreq request{};
    request.mr_ifindex = int(ifindex_);
    request.mr_type = PACKET_MR_MULTICAST;
    request.mr_alen = ETH_ALEN;
    std::memcpy(request.mr_address, group.bytes.data(), ETH_ALEN);
    if (::setsockopt(fd_.get(), SOL_PACKET, option, &request, sizeof request) < 0)
        return fail_errno("group " + group.text() + " of link " + std::to_string(ifindex_));
    return {};
}

Status MulticastGroups::set(const std::set<net::Mac>& groups) {
    for (const net::Mac& group : groups) {
        if (joined_.contains(group)) continue;
        TRY(change(PACKET_ADD_MEMBERSHIP, group));
        joined_.insert(group);
    }
    for (auto at = joined_.begin(); at != joined_.end();) {
        if (groups.contains(*at)) {
            ++at;
            continue;
        }
        TRY(change(PACKET_DROP_MEMBERSHIP, *at));
        at = joined_.erase(at);
    }
    return {};
}

}  // namespace weft::kernel
