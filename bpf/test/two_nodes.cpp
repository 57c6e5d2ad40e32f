#include "bpf/test/two_nodes.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "kernel/link.h"
#include "kernel/ownership.h"
#include "kernel/sysctl.h"
#include "kernel/tc.h"

namespace weft::test {
namespace {

constexpr int loopback = 1;
constexpr unsigned tunnel_device_mtu = 65000;  // as agent/overlay.cpp has it

void quiet_ipv6(const Place& place, const std::string& interface) {
    for (const auto& [name, value] : {std::pair{"disable_ipv6", "0"}, {"accept_ra", "0"}, {"accept_dad", "0"}})
        MUST(kernel::set_sysctl(place.netns(), "net/ipv6/conf/" + interface + "/" + name, value));
}

void attach(const Place& place, const World& table, int ifindex, ProgramName program,
            kernel::Direction direction = kernel::Direction::ingress) {
    kernel::Netlink netlink = MUST(kernel::Netlink::open(place.netns()));
    MUST(kernel::attach_filter(netlink, ifindex, direction, const_cast<World&>(table).object().program(program)));
}

int index_of(const Place& place, std::string_view link) {
    kernel::Netlink netlink = MUST(kernel::Netlink::open(place.netns()));
    return MUST(kernel::find_link(netlink, link)).index;
}

net::Prefix prefix(std::string_view text) { return MUST(net::Prefix::parse(text)); }

}  // namespace

TwoNodes::TwoNodes()
    : n1("n1", "198.18.1.1"),
      n2("n2", "198.18.1.2"),
      street("street"),
      outside("outside"),
      red_a("reda"),
      red_b("redb"),
      blue_a("bluea"),
      blue_b("blueb") {
    ip_command("-n " + street.name() + " link add bridge type bridge");
    ip_command("-n " + street.name() + " link set bridge up");
    ip_command("-n " + street.name() + " link add port9 master bridge type veth peer name eth0 netns " +
               outside.name());
    ip_command("-n " + street.name() + " link set port9 up");
    ip_command("-n " + outside.name() + " link set lo up");
    ip_command("-n " + outside.name() + " link set eth0 up");
    ip_command("-n " + outside.name() + " addr add 198.18.0.1/16 dev eth0");
    ip_command("-n " + outside.name() + " addr add 198.51.100.7/32 dev lo");
    ip_command("-n " + outside.name() + " route add 203.0.113.0/24 dev eth0 scope link src 198.51.100.7");
    wire_node(n1, "100.64.0.3", 1);
    wire_node(n2, "100.64.0.5", 2);
    red_a_pod = wire_pod(n1, red_a, red, "10.0.1.5", "fd00::1:5", 1);
    blue_a_pod = wire_pod(n1, blue_a, blue, "10.0.1.5", "fd00::1:5", 2);
    red_b_pod = wire_pod(n2, red_b, red, "10.0.2.6", "fd00::2:6", 3);
    blue_b_pod = wire_pod(n2, blue_b, blue, "10.0.2.6", "fd00::2:6", 4);
    reach(n1, n2);
    reach(n2, n1);
    for (const uint32_t vpc : {red, blue}) {
        locate(n1, vpc, "10.0.2.0/28");
        locate(n1, vpc, "fd00::2:0/124");
        locate(n2, vpc, "10.0.1.0/28");
        locate(n2, vpc, "fd00::1:0/124");
    }
    locate(n1, LOCATION_EVERY_VPC, "100.64.0.5/32");
    locate(n2, LOCATION_EVERY_VPC, "100.64.0.3/32");
}

void TwoNodes::wire_node(Node& n, std::string_view host_address, uint8_t number) {
    const std::string in = "-n " + n.place.name() + " ";
    n.table.ranges(red);
    n.table.ranges(blue);
    ip_command("-n " + street.name() + " link add port" + std::to_string(number) +
               " master bridge type veth peer name uplink netns " + n.place.name());
    ip_command("-n " + street.name() + " link set port" + std::to_string(number) + " up");
    ip_command(in + "link set uplink up");
    ip_command(in + "addr add " + n.underlay.text() + "/16 dev uplink");
    ip_command(in + "route add default via 198.18.0.1");
    n.uplink = index_of(n.place, "uplink");

    kernel::Netlink netlink = MUST(kernel::Netlink::open(n.place.netns()));
    const std::string tunnel(kernel::tunnel_link);
    MUST(kernel::create_vxlan(netlink, tunnel, TUNNEL_PORT, kernel::tunnel_mac));
    n.tunnel = MUST(kernel::find_link(netlink, tunnel)).index;
    MUST(kernel::set_link_mtu(netlink, n.tunnel, tunnel_device_mtu));
    MUST(kernel::set_link_up(netlink, n.tunnel, true));

    const Mac mac{{0x06, 0x77, 0, 0, number, 0xff}};
    ip_command(in + "link add weft_net mtu " + std::to_string(inner_mtu) +
               " type veth peer name weft_host address " + mac.text() + " mtu " + std::to_string(inner_mtu));
    const int door = index_of(n.place, "weft_net");
    n.host = n.table.wired_pod(red, host_address, door, mac, abi::ENDPOINT_HOST);
    ip_command(in + "link set weft_net up");
    ip_command(in + "link set weft_host up");
    ip_command(in + "link set lo up");
    MUST(kernel::set_sysctl(n.place.netns(), "net/ipv4/conf/weft_host/accept_local", "1"));
    ip_command(in + "addr add " + std::string(host_address) + "/32 dev weft_host");
    for (const char* to : {"10.0.0.0/16", "172.21.0.0/20", "100.64.0.0/10"})
        ip_command(in + "route add " + to + " via 169.254.1.1 dev weft_host onlink src " + std::string(host_address));

    abi::node row{};
    row.v4 = abi::to_abi(n.underlay);
    row.uplink_ifindex = uint32_t(n.uplink);
    row.tunnel_ifindex = uint32_t(n.tunnel);
    row.uplink_mtu = wire_mtu;
    row.host_endpoint = n.host.id;
    row.flags = abi::NODE_WRAPS;
    const Mac uplink = MUST(kernel::find_link(netlink, n.uplink)).mac;
    std::copy(uplink.bytes.begin(), uplink.bytes.end(), row.uplink_mac);
    MUST(n.table.maps().node->put(0, row));
    attach(n.place, n.table, door, ProgramName::pod_egress);
    attach(n.place, n.table, n.uplink, ProgramName::uplink_ingress);
    for (const int sends : {n.uplink, loopback})
        attach(n.place, n.table, sends, ProgramName::uplink_egress, kernel::Direction::egress);
    attach(n.place, n.table, n.tunnel, ProgramName::tunnel_ingress);
}

Pod TwoNodes::wire_pod(Node& n, const Place& place, uint32_t vpc, std::string_view address, std::string_view v6,
                       uint8_t number) {
    const std::string link = fmt::format("wpod{}", number);
    const std::string in_node = "-n " + n.place.name() + " ";
    const std::string in_pod = "-n " + place.name() + " ";
    const Mac mac{{0x06, 0x77, 0, 0, 1, number}};
    ip_command(in_node + "link add " + link + " type veth peer name eth0 address " + mac.text() + " mtu " +
               std::to_string(inner_mtu) + " netns " + place.name());
    const int ifindex = index_of(n.place, link);
    const Pod pod = n.table.wired_pod(vpc, address, ifindex, mac, 0, v6);
    ip_command(in_node + "link set " + link + " mtu " + std::to_string(inner_mtu) + " up");
    quiet_ipv6(place, "eth0");
    ip_command(in_pod + "link set eth0 up");
    ip_command(in_pod + "addr add " + std::string(address) + "/32 dev eth0");
    ip_command(in_pod + "addr add " + std::string(v6) + "/128 dev eth0 nodad");
    ip_command(in_pod + "route add 169.254.1.1 dev eth0 scope link");
    ip_command(in_pod + "route add default via 169.254.1.1 dev eth0 onlink");
    ip_command(in_pod + "route add default via fe80::1 dev eth0 onlink");
    attach(n.place, n.table, ifindex, ProgramName::pod_egress);
    return pod;
}

void TwoNodes::offloads_off() {
    for (const Place* place : {&red_a, &red_b, &blue_a, &blue_b, &outside}) place->offloads_off("eth0");
    for (const Node* n : {&n1, &n2})
        for (const char* link : {"weft_net", "weft_host", "uplink"}) n->place.offloads_off(link);
    for (const char* link : {"wpod1", "wpod2"}) n1.place.offloads_off(link);
    for (const char* link : {"wpod3", "wpod4"}) n2.place.offloads_off(link);
}

void TwoNodes::tunnel_by(Node& n, Tunnel whose) {
    const bool hooks = whose == Tunnel::hooks;
    abi::node row = MUST(n.table.maps().node->lookup(0)).value();
    abi::remote_node way = MUST(n.table.maps().nodes->lookup(other)).value();
    row.flags = hooks ? uint8_t(abi::NODE_WRAPS) : uint8_t(0);
    way.flags = hooks ? uint32_t(abi::NODE_ON_LINK) : 0;
    MUST(n.table.maps().node->put(0, row));
    MUST(n.table.maps().nodes->put(other, way));
}

uint64_t TwoNodes::packets_by_device(const Node& n) {
    const std::string command = fmt::format("ip -n {} -s -j link show {}", n.place.name(), kernel::tunnel_link);
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    std::string text(8192, 0);
    text.resize(std::fread(text.data(), 1, text.size(), pipe));
    EXPECT_EQ(::pclose(pipe), 0) << command;
    uint64_t packets = 0;
    constexpr std::string_view counter = "\"packets\":";  // of rx and of tx
    for (size_t at = text.find(counter); at != text.npos; at = text.find(counter, at + 1))
        packets += std::strtoull(text.c_str() + at + counter.size(), nullptr, 10);
    return packets;
}

void TwoNodes::locate(Node& n, uint32_t vpc, std::string_view text) {
    MUST(n.table.maps().locations->put(abi::location_key_of(vpc, prefix(text)), other));
}

void TwoNodes::reach(Node& n, const Node& the_other, unsigned mtu) {
    const bool unwraps = MUST(n.table.maps().node->lookup(0)).value().flags & abi::NODE_WRAPS;
    MUST(n.table.maps().nodes->put(
        other, {abi::to_abi(the_other.underlay), mtu, unwraps ? uint32_t(abi::NODE_ON_LINK) : 0}));
    const net::Prefix underlay = net::Prefix::host(the_other.underlay);
    MUST(n.table.maps().locations->put(abi::location_key_of(VPC_OUTSIDE, underlay), other));
}

void TwoNodes::peer(Node& n, uint32_t table, std::string_view to, uint32_t into) {
    MUST(n.table.maps().routes->put(abi::route_key_of(table, prefix(to)), {abi::ROUTE_PEERING, into, {}}));
}

void TwoNodes::unpeer(Node& n, uint32_t table, std::string_view to) {
    MUST(n.table.maps().routes->erase(abi::route_key_of(table, prefix(to))));
}

uint64_t TwoNodes::drops(const Node& n, abi::hook hook, abi::drop_reason reason) {
    uint64_t packets = 0;
    for (const auto& cpu : MUST(const_cast<Node&>(n).table.maps().drops->lookup(abi::drop_index(hook, reason))))
        packets += cpu.packets;
    return packets;
}

}  // namespace weft::test
