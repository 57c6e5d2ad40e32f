// Multicast: the Ethernet groups that a link takes in although the kernel itself has joined none of them. Whoever looks
// for an IPv6 address asks its solicited-node group; a real card filters those that nobody on the machine has asked
// for.
//
// Memberships are a packet socket's: they end with it, also when the process is killed, and nothing on the link has to
// be put back. Several processes may hold the same one. A card whose filter is full takes all groups in. Errors name
// the link. Threads: one at a time. Source: packet(7) PACKET_ADD_MEMBERSHIP; RFC 4291 §2.7.1, RFC 2464 §7.
#pragma once
#include <set>

#include "base/fd.h"
#include "base/result.h"
#include "net/address.h"

namespace weft::kernel {

// 33:33:ff and the last three bytes.
net::Mac solicited_node_group(const net::Address& ipv6);

class MulticastGroups {
public:
    static Result<MulticastGroups> open(uint32_t ifindex);

    Status set(const std::set<net::Mac>& groups);  // these alone

    const std::set<net::Mac>& joined() const { return joined_; }

private:
    MulticastGroups(Fd fd, uint32_t ifindex) : fd_(std::move(fd)), ifindex_(ifindex) {}

    Status change(int option, const net::Mac& group) const;

    Fd fd_;
    uint32_t ifindex_;
    std::set<net::Mac> joined_;
};

}  // namespace weft::kernel
