#include "kernel/link.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include <algorithm>
#include <cstring>

namespace weft::kernel {
namespace {

ifinfomsg link_header(int index, unsigned flags = 0, unsigned change = 0) {
    ifinfomsg header{};
    header.ifi_family = AF_UNSPEC;
    header.ifi_index = index;
    header.ifi_flags = flags;
    header.ifi_change = change;
    return header;
}

Status check_name(std::string_view name) {
    const bool bad = name.empty() || name.size() > link_name_max || name == "." || name == ".." ||
                     name.find_first_of("/: \t\n") != name.npos;
    if (bad) return fail(Code::invalid, "interface name \"" + std::string(name) + "\"");
    return {};
}

void put_end(Message& message, const VethEnd& end) {
    message.put_string(IFLA_IFNAME, end.name);
    if (end.netns) message.put_u32(IFLA_NET_NS_FD, uint32_t(end.netns->fd()));
    if (end.mac) message.put(IFLA_ADDRESS, end.mac->bytes.data(), end.mac->bytes.size());
    if (end.mtu != 0) message.put_u32(IFLA_MTU, end.mtu);
}

uint32_t u32_of(const void* data, size_t bytes) {
    uint32_t value = 0;
    if (bytes >= sizeof(value)) std::memcpy(&value, data, sizeof(value));
    return value;
}

std::string string_of(const void* data, size_t bytes) {
    const char* text = static_cast<const char*>(data);
    return {text, strnlen(text, bytes)};
}

Link read_link(const nlmsghdr& message) {
    const auto* header = static_cast<const ifinfomsg*>(NLMSG_DATA(&message));
    Link link;
    link.index = header->ifi_index;
    link.up = (header->ifi_flags & IFF_UP) != 0;
    for_each_attribute(message, sizeof(ifinfomsg), [&](uint16_t type, const void* data, size_t bytes) {
        switch (type) {
            case IFLA_IFNAME: link.name = string_of(data, bytes); break;
            case IFLA_MTU: link.mtu = u32_of(data, bytes); break;
            case IFLA_MASTER: link.master = int(u32_of(data, bytes)); break;
            case IFLA_LINK: link.peer_index = int(u32_of(data, bytes)); break;
            case IFLA_ADDRESS:
                if (bytes == link.mac.bytes.size()) std::memcpy(link.mac.bytes.data(), data, bytes);
                break;
            case IFLA_LINKINFO:
                for_each_nested(data, bytes, [&](uint16_t nested, const void* inner, size_t inner_bytes) {
                    if (nested == IFLA_INFO_KIND) link.kind = string_of(inner, inner_bytes);
                });
                break;
            default: break;
        }
    });
    return link;
}

Result<Link> get_link(Netlink& netlink, int index, std::string_view name) {
    Message message(RTM_GETLINK, NLM_F_ACK);
    message.header(link_header(index));
    if (!name.empty()) message.put_string(IFLA_IFNAME, name);
    std::optional<Link> link;
    const Status asked = netlink.dump(message, [&](const nlmsghdr& reply) {
        if (reply.nlmsg_type == RTM_NEWLINK) link = read_link(reply);
    });
    const std::string what = "link " + (name.empty() ? std::to_string(index) : std::string(name));
    if (!asked) return fail(asked.error().in(what));
    if (!link) return fail(Code::not_found, what);
    return *link;
}

Status change_link(Netlink& netlink, int index, std::string_view doing, const std::function<void(Message&)>& fill) {
    Message message(RTM_NEWLINK, 0);
    message.header(link_header(index));
    fill(message);
    TRY_IN(std::string(doing) + " of link " + std::to_string(index), netlink.request(message));
    return {};
}

Status forgive_absent(const Status& status) {
    if (!status && status.error().code == Code::not_found) return {};
    return status;
}

}  // namespace

Status create_veth(Netlink& netlink, const VethEnd& a, const VethEnd& b) {
    TRY(check_name(a.name));
    TRY(check_name(b.name));
    Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    message.header(link_header(0));
    put_end(message, a);
    const size_t info = message.begin(IFLA_LINKINFO);
    message.put_string(IFLA_INFO_KIND, "veth");
    const size_t data = message.begin(IFLA_INFO_DATA);
    const size_t peer = message.begin(VETH_INFO_PEER);
    message.header(link_header(0));
    put_end(message, b);
    message.end(peer);
    message.end(data);
    message.end(info);
    TRY_IN("create veth " + a.name + " - " + b.name, netlink.request(message));
    return {};
}

Status create_bridge(Netlink& netlink, std::string_view name, std::optional<net::Mac> mac) {
    TRY(check_name(name));
    Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    message.header(link_header(0));
    message.put_string(IFLA_IFNAME, name);
    if (mac) message.put(IFLA_ADDRESS, mac->bytes.data(), mac->bytes.size());
    const size_t info = message.begin(IFLA_LINKINFO);
    message.put_string(IFLA_INFO_KIND, "bridge");
    message.end(info);
    TRY_IN("create bridge " + std::string(name), netlink.request(message));
    return {};
}

Status create_vxlan(Netlink& netlink, std::string_view name, uint16_t port, const net::Mac& mac) {
    TRY(check_name(name));
    Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    message.header(link_header(0));
    message.put_string(IFLA_IFNAME, name);
    message.put(IFLA_ADDRESS, mac.bytes.data(), mac.bytes.size());
    const size_t info = message.begin(IFLA_LINKINFO);
    message.put_string(IFLA_INFO_KIND, "vxlan");
    const size_t data = message.begin(IFLA_INFO_DATA);
    const uint8_t on = 1;
    const uint8_t off = 0;
    const uint16_t wire_port = htons(port);
    message.put(IFLA_VXLAN_COLLECT_METADATA, &on, sizeof(on));
    message.put(IFLA_VXLAN_LEARNING, &off, sizeof(off));
    message.put(IFLA_VXLAN_PORT, &wire_port, sizeof(wire_port));
    message.end(data);
    message.end(info);
    TRY_IN("create tunnel " + std::string(name), netlink.request(message));
    return {};
}

Result<Link> find_link(Netlink& netlink, std::string_view name) {
    TRY(check_name(name));
    return get_link(netlink, 0, name);
}

Result<Link> find_link(Netlink& netlink, int index) { return get_link(netlink, index, {}); }

Result<std::vector<Link>> list_links(Netlink& netlink) {
    Message message(RTM_GETLINK, NLM_F_DUMP);
    message.header(link_header(0));
    std::vector<Link> links;
    TRY_IN("list links", netlink.dump(message, [&](const nlmsghdr& reply) {
        if (reply.nlmsg_type == RTM_NEWLINK) links.push_back(read_link(reply));
    }));
    std::sort(links.begin(), links.end(), [](const Link& a, const Link& b) { return a.index < b.index; });
    return links;
}

Status set_link_up(Netlink& netlink, int index, bool up) {
    Message message(RTM_NEWLINK, 0);
    message.header(link_header(index, up ? unsigned(IFF_UP) : 0u, unsigned(IFF_UP)));
    TRY_IN("set link " + std::to_string(index) + (up ? " up" : " down"), netlink.request(message));
    return {};
}

Status set_link_mtu(Netlink& netlink, int index, unsigned mtu) {
    return change_link(netlink, index, "set mtu " + std::to_string(mtu),
                       [&](Message& message) { message.put_u32(IFLA_MTU, mtu); });
}

Status set_link_mac(Netlink& netlink, int index, const net::Mac& mac) {
    return change_link(netlink, index, "set address " + mac.text(),
                       [&](Message& message) { message.put(IFLA_ADDRESS, mac.bytes.data(), mac.bytes.size()); });
}

Status set_link_master(Netlink& netlink, int index, int master) {
    return change_link(netlink, index, "set master " + std::to_string(master),
                       [&](Message& message) { message.put_u32(IFLA_MASTER, uint32_t(master)); });
}

Status rename_link(Netlink& netlink, int index, std::string_view name) {
    TRY(check_name(name));
    return change_link(netlink, index, "set name " + std::string(name),
                       [&](Message& message) { message.put_string(IFLA_IFNAME, name); });
}

Status move_link(Netlink& netlink, int index, const Netns& to, std::string_view new_name) {
    if (!new_name.empty()) TRY(check_name(new_name));
    return change_link(netlink, index, "move", [&](Message& message) {
        message.put_u32(IFLA_NET_NS_FD, uint32_t(to.fd()));
        if (!new_name.empty()) message.put_string(IFLA_IFNAME, new_name);
    });
}

Status delete_link(Netlink& netlink, std::string_view name) {
    TRY(check_name(name));
    Message message(RTM_DELLINK, 0);
    message.header(link_header(0));
    message.put_string(IFLA_IFNAME, name);
    const Status deleted = forgive_absent(netlink.request(message));
    if (!deleted) return fail(deleted.error().in("delete link " + std::string(name)));
    return {};
}

Status delete_link(Netlink& netlink, int index) {
    Message message(RTM_DELLINK, 0);
    message.header(link_header(index));
    const Status deleted = forgive_absent(netlink.request(message));
    if (!deleted) return fail(deleted.error().in("delete link " + std::to_string(index)));
    return {};
}

}  // namespace weft::kernel
