// Links: veth pairs, bridges, the tunnel device and what can be set on an interface, over one Netlink socket.
//
// New links are down; bring them up after everything is set (a peer created up costs 16 ms). Deleting what is gone is
// success. Errors name the link. Source: kernel rtnetlink; veth(4).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernel/netlink.h"
#include "net/address.h"

namespace weft::kernel {

inline constexpr size_t link_name_max = 15;

struct Link {
    int index = 0;
    std::string name;
    std::string kind;  // "veth", "bridge", "" for lo and real devices
    net::Mac mac;
    unsigned mtu = 0;
    bool up = false;
    int master = 0;      // ifindex of the bridge it is a port of, 0 = none
    int peer_index = 0;  // veth: ifindex of the other end, in the other end's namespace
    bool operator==(const Link&) const = default;
};

// One end of a pair. No netns: the namespace of the Netlink socket.
struct VethEnd {
    std::string name;
    const Netns* netns = nullptr;
    std::optional<net::Mac> mac;
    unsigned mtu = 0;  // 0 = the kernel's default
};

// already_exists when one of the names is taken in its namespace.
Status create_veth(Netlink& netlink, const VethEnd& a, const VethEnd& b);
// Takes the tunnel's ends and network from each packet's metadata (collect metadata), learns nothing.
Status create_vxlan(Netlink& netlink, std::string_view name, uint16_t port, const net::Mac& mac);
Status create_bridge(Netlink& netlink, std::string_view name, std::optional<net::Mac> mac = {});

Result<Link> find_link(Netlink& netlink, std::string_view name);  // not_found
Result<Link> find_link(Netlink& netlink, int index);
Result<std::vector<Link>> list_links(Netlink& netlink);  // by index

Status set_link_up(Netlink& netlink, int index, bool up);
Status set_link_mtu(Netlink& netlink, int index, unsigned mtu);
Status set_link_mac(Netlink& netlink, int index, const net::Mac& mac);
Status set_link_master(Netlink& netlink, int index, int master);         // 0 = none
Status rename_link(Netlink& netlink, int index, std::string_view name);  // it must be down
Status move_link(Netlink& netlink, int index, const Netns& to, std::string_view new_name = {});

Status delete_link(Netlink& netlink, std::string_view name);
Status delete_link(Netlink& netlink, int index);

}  // namespace weft::kernel
