#include "bpf/test/real_world.h"

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "bpf/test/janitor.h"
#include "kernel/link.h"
#include "kernel/sysctl.h"
#include "kernel/tc.h"

namespace weft::test {
namespace {

constexpr int loopback = 1;
constexpr int socket_timeout_s = 20;  // of what must come: a busy machine is slow

// A socket address of either family.
struct SocketAddress {
    sockaddr_in6 v6{};
    sockaddr_in v4{};
    bool is_v4 = false;

    SocketAddress(const Address& address, uint16_t port) : is_v4(address.is_v4()) {
        v4.sin_family = AF_INET;
        v6.sin6_family = AF_INET6;
        v4.sin_port = v6.sin6_port = htons(port);
        if (is_v4) v4.sin_addr.s_addr = htonl(address.v4_host_order());
        std::copy(address.bytes.begin(), address.bytes.end(), v6.sin6_addr.s6_addr);
    }

    const sockaddr* get() const {
        return is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
    }
    socklen_t length() const { return is_v4 ? sizeof(v4) : sizeof(v6); }
};

Address address_of(const sockaddr_storage& peer) {
    if (peer.ss_family == AF_INET)
        return Address::v4(ntohl(reinterpret_cast<const sockaddr_in*>(&peer)->sin_addr.s_addr));
    Address address;
    std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6*>(&peer)->sin6_addr, 16);
    return address;
}

Fd open_socket(const kernel::Netns& netns, Protocol protocol, bool is_v4 = true) {
    return MUST(netns.run([&]() -> Result<Fd> {
        Fd fd(::socket(is_v4 ? AF_INET : AF_INET6, (protocol == Protocol::tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
        if (!fd) return fail_errno("socket");
        const timeval limit{socket_timeout_s, 0};
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        return fd;
    }));
}

constexpr const char* host_v6 = "fd77:6566:7400::6440:3";

// As the agent leaves it: IPv6 on, nothing learned from routers, no wait for duplicates.
void usual_ipv6(const Place& place, const std::string& interface) {
    for (const auto& [name, value] : {std::pair{"disable_ipv6", "0"}, {"accept_ra", "0"}, {"accept_dad", "0"}})
        MUST(kernel::set_sysctl(place.netns(), "net/ipv6/conf/" + interface + "/" + name, value));
}

}  // namespace

void ip_command(const std::string& arguments) {
    const int status = std::system(("ip " + arguments).c_str());
    if (status != 0) ADD_FAILURE() << "ip " << arguments;
}

Place::Place(std::string name) : name_(test_netns_name(name)), netns_(MUST(kernel::Netns::create(name_))) {}

Place::~Place() { (void)kernel::Netns::remove(name_); }

Fd Place::listen(Protocol protocol, const Address& address, uint16_t port) const {
    Fd fd = open_socket(*netns_, protocol, address.is_v4());
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const SocketAddress local(address, port);
    ENSURE(::bind(fd.get(), local.get(), local.length()) == 0);
    if (protocol == Protocol::tcp) ENSURE(::listen(fd.get(), 16) == 0);
    return fd;
}

Result<Fd> Place::connect(Protocol protocol, const Address& address, uint16_t port) const {
    Fd fd = open_socket(*netns_, protocol, address.is_v4());
    const SocketAddress remote(address, port);
    if (::connect(fd.get(), remote.get(), remote.length()) != 0) {
        return fail_errno("connect " + address.text());
    }
    return fd;
}

void Place::offloads_off(std::string_view interface) const {
    const Fd fd = open_socket(*netns_, Protocol::udp);
    for (const uint32_t command : {ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO}) {
        ethtool_value value{command, 0};
        ifreq request{};
        interface.copy(request.ifr_name, IFNAMSIZ - 1);
        request.ifr_data = reinterpret_cast<char*>(&value);
        EXPECT_EQ(::ioctl(fd.get(), SIOCETHTOOL, &request), 0) << interface << " command " << command;
    }
}

Result<Fd> accept_on(const Fd& listener) {
    Fd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd) return fail_errno("accept");
    const timeval limit{socket_timeout_s, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

Status send_text(const Fd& socket, std::string_view text) {
    for (size_t at = 0; at < text.size();) {
        const ssize_t bytes = ::send(socket.get(), text.data() + at, text.size() - at, MSG_NOSIGNAL);
        if (bytes <= 0) return fail_errno("send");
        at += size_t(bytes);
    }
    return {};
}

Result<std::string> receive_text(const Fd& socket, size_t bytes) {
    std::string text(bytes, 0);
    int type = 0;
    socklen_t length = sizeof(type);
    ::getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &type, &length);
    size_t at = 0;
    while (at < bytes) {
        const ssize_t got = ::recv(socket.get(), text.data() + at, bytes - at, 0);
        if (got < 0) return fail_errno("receive");
        at += size_t(got);
        if (got == 0 || type == SOCK_DGRAM) break;
    }
    text.resize(at);
    return text;
}

Result<std::string> answer_datagram(const Fd& socket, std::string_view answer, Address* from) {
    std::string text(2048, 0);
    sockaddr_storage peer{};
    socklen_t length = sizeof(peer);
    const ssize_t got =
        ::recvfrom(socket.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&peer), &length);
    if (got < 0) return fail_errno("receive");
    if (from != nullptr) *from = address_of(peer);
    if (::sendto(socket.get(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&peer), length) < 0) {
        return fail_errno("answer");
    }
    text.resize(size_t(got));
    return text;
}

Address peer_of(const Fd& socket) {
    sockaddr_storage peer{};
    socklen_t length = sizeof(peer);
    ENSURE(::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&peer), &length) == 0);
    return address_of(peer);
}

RealWorld::RealWorld()
    : node("node"), outside("outside"), red1("red1"), red2("red2"), blue1("blue1"), blue2("blue2") {
    table.ranges(red);
    table.ranges(blue);
    red1_pod = wire_pod(red1, red, "10.0.1.5", "fd00::5", 1);
    red2_pod = wire_pod(red2, red, "10.0.1.6", "fd00::6", 2);
    blue1_pod = wire_pod(blue1, blue, "10.0.1.5", "fd00::5", 3);
    blue2_pod = wire_pod(blue2, blue, "10.0.1.6", "fd00::6", 4);
    host_pod = wire_host();
    wire_uplink();
}

void RealWorld::attach(int ifindex, ProgramName program, kernel::Direction direction) {
    kernel::Netlink netlink = MUST(kernel::Netlink::open(node.netns()));
    const auto attached =
        MUST(kernel::attach_filter(netlink, ifindex, direction, table.object().program(program)));
    EXPECT_EQ(attached, kernel::Attached::changed);
}

// As the agent does it: endpoint first, program last.
Pod RealWorld::wire_pod(const Place& place, uint32_t vpc, std::string_view address, std::string_view v6,
                        uint32_t number) {
    const std::string name = fmt::format("wpod{}", number);
    const std::string in_node = "-n " + node.name() + " ";
    const std::string in_pod = "-n " + place.name() + " ";
    const Mac mac{{0x06, 0x77, 0, 0, 1, uint8_t(number)}};
    ip_command(in_node + "link add " + name + " type veth peer name eth0 address " + mac.text() + " netns " +
               place.name());
    kernel::Netlink netlink = MUST(kernel::Netlink::open(node.netns()));
    const int ifindex = MUST(kernel::find_link(netlink, name)).index;
    const Pod pod = table.wired_pod(vpc, address, ifindex, mac, 0, v6);
    ip_command(in_node + "link set " + name + " up");
    usual_ipv6(place, "eth0");
    ip_command(in_pod + "link set eth0 up");
    ip_command(in_pod + "addr add " + std::string(address) + "/32 dev eth0");
    ip_command(in_pod + "addr add " + std::string(v6) + "/128 dev eth0 nodad");
    ip_command(in_pod + "route add default via fe80::1 dev eth0 onlink");
    ip_command(in_pod + "route add 169.254.1.1 dev eth0 scope link");
    ip_command(in_pod + "route add default via 169.254.1.1 dev eth0 onlink");
    attach(ifindex, ProgramName::pod_egress);
    MUST(table.maps().netns->put(MUST(place.netns().cookie()), pod.id));
    return pod;
}

Pod RealWorld::wire_host() {
    const std::string in_node = "-n " + node.name() + " ";
    const Mac mac{{0x06, 0x77, 0, 0, 1, 0xff}};
    ip_command(in_node + "link add weft_net type veth peer name weft_host address " + mac.text());
    kernel::Netlink netlink = MUST(kernel::Netlink::open(node.netns()));
    const int ifindex = MUST(kernel::find_link(netlink, "weft_net")).index;
    const Pod pod = table.wired_pod(red, "100.64.0.3", ifindex, mac, abi::ENDPOINT_HOST, host_v6);
    ip_command(in_node + "link set weft_net up");
    usual_ipv6(node, "weft_host");
    ip_command(in_node + "link set weft_host up");
    MUST(kernel::set_sysctl(node.netns(), "net/ipv4/conf/weft_host/accept_local", "1"));
    ip_command(in_node + "link set lo up");
    ip_command(in_node + "addr add 100.64.0.3/32 dev weft_host");
    ip_command(in_node + "addr add " + std::string(host_v6) + "/128 dev weft_host nodad");
    for (const char* prefix : {"fd00::/64", "fd00:1::/108"})
        ip_command(in_node + "route add " + prefix + " via fe80::1 dev weft_host onlink src " + host_v6);
    for (const char* prefix : {"10.0.0.0/16", "172.21.0.0/20"}) {
        ip_command(in_node + "route add " + prefix + " via 169.254.1.1 dev weft_host onlink src 100.64.0.3");
    }
    attach(ifindex, ProgramName::pod_egress);
    return pod;
}

void RealWorld::wire_uplink() {
    const std::string in_node = "-n " + node.name() + " ";
    const std::string in_outside = "-n " + outside.name() + " ";
    ip_command(in_node + "link add uplink type veth peer name eth0 netns " + outside.name());
    usual_ipv6(node, "uplink");
    usual_ipv6(outside, "eth0");
    ip_command(in_node + "link set uplink up");
    ip_command(in_node + "addr add 198.18.1.1/16 dev uplink");
    ip_command(in_node + "addr add 2001:db8:18::1/64 dev uplink nodad");
    ip_command(in_outside + "addr add 2001:db8:18::9/64 dev eth0 nodad");
    ip_command(in_outside + "addr add 2001:db8:7::7/128 dev eth0 nodad");
    ip_command(in_outside + "link set eth0 up");
    ip_command(in_outside + "addr add 198.18.0.1/16 dev eth0");
    ip_command(in_outside + "addr add 198.51.100.7/32 dev lo");
    ip_command(in_outside + "route add 203.0.113.0/24 dev eth0 scope link src 198.51.100.7");
    ip_command(in_outside + "route add 2001:db8:203::/64 dev eth0 src 2001:db8:7::7");
    ip_command(in_node + "route add default via 198.18.0.1");
    ip_command(in_node + "route add default via 2001:db8:18::9");
    kernel::Netlink netlink = MUST(kernel::Netlink::open(node.netns()));
    const kernel::Link link = MUST(kernel::find_link(netlink, "uplink"));
    abi::node row{};
    row.v4 = abi::to_abi(ip("198.18.1.1"));
    row.v6 = abi::to_abi(ip("2001:db8:18::1"));
    row.uplink_ifindex = uint32_t(link.index);
    row.host_endpoint = host_pod.id;
    std::copy(link.mac.bytes.begin(), link.mac.bytes.end(), row.uplink_mac);
    MUST(table.maps().node->put(0, row));
    attach(link.index, ProgramName::uplink_ingress);
    for (const int sends : {link.index, loopback})
        attach(sends, ProgramName::uplink_egress, kernel::Direction::egress);
}

void RealWorld::offloads_off(bool everywhere) {
    if (everywhere) {
        for (const Place* place : {&red1, &red2, &blue1, &blue2, &outside}) place->offloads_off("eth0");
    }
    for (const char* link : {"wpod1", "wpod2", "wpod3", "wpod4", "weft_net", "weft_host", "uplink"})
        node.offloads_off(link);
}

}  // namespace weft::test
