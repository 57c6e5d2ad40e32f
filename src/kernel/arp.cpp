#include "kernel/arp.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

namespace weft::kernel {
namespace {

constexpr int answers_max = 4096;  // taken at a time: a flood must not hold us

struct Frame {
    ether_header ethernet;
    ether_arp arp;
};
static_assert(sizeof(Frame) == sizeof(ether_header) + sizeof(ether_arp));

struct Advertisement {
    ether_header ethernet;
    uint8_t ip[sizeof(ip6_hdr)];
    uint8_t message[32];  // neighbour advertisement, and the option with our MAC
};
static_assert(sizeof(Advertisement) == sizeof(ether_header) + sizeof(ip6_hdr) + 32);

uint32_t sum_of(const uint8_t* bytes, size_t n) {
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i += 2) sum += uint32_t(bytes[i] << 8 | bytes[i + 1]);
    return sum;
}

void put_address(uint8_t (&at)[4], const net::Address& address) { std::memcpy(at, address.bytes.data() + 12, 4); }

}  // namespace

Result<std::unique_ptr<Wire>> ArpWire::open(const std::string& link, uint32_t ifindex, const net::Mac& mac,
                                            const net::Address& source) {
    Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ARP)));
    if (!fd) return fail_errno("ARP socket on " + link);
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_ARP);
    at.sll_ifindex = int(ifindex);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) < 0)
        return fail_errno("ARP socket on " + link);
    return std::unique_ptr<Wire>(new ArpWire(link, mac, source, std::move(fd)));
}

Status ArpWire::send(const net::Address& sender, const net::Address& target) const {
    Frame frame{};
    std::memset(frame.ethernet.ether_dhost, 0xff, ETH_ALEN);
    std::memcpy(frame.ethernet.ether_shost, mac_.bytes.data(), ETH_ALEN);
    frame.ethernet.ether_type = htons(ETHERTYPE_ARP);
    frame.arp.arp_hrd = htons(ARPHRD_ETHER);
    frame.arp.arp_pro = htons(ETHERTYPE_IP);
    frame.arp.arp_hln = ETH_ALEN;
    frame.arp.arp_pln = 4;
    frame.arp.arp_op = htons(ARPOP_REQUEST);
    std::memcpy(frame.arp.arp_sha, mac_.bytes.data(), ETH_ALEN);
    put_address(frame.arp.arp_spa, sender);
    put_address(frame.arp.arp_tpa, target);
    if (::send(fd_.get(), &frame, sizeof frame, 0) < 0) return fail_errno("ARP on " + link_);
    return {};
}

Status ArpWire::ask(const net::Address& address) { return send(source_, address); }

Status ArpWire::tell(const net::Address& address) {
    return address.is_v4() ? send(address, address) : advertise(address);
}

Status ArpWire::advertise(const net::Address& address) const {
    static constexpr uint8_t everybody[ETH_ALEN] = {0x33, 0x33, 0, 0, 0, 1};
    Advertisement frame{};
    std::memcpy(frame.ethernet.ether_dhost, everybody, ETH_ALEN);
    std::memcpy(frame.ethernet.ether_shost, mac_.bytes.data(), ETH_ALEN);
    frame.ethernet.ether_type = htons(ETHERTYPE_IPV6);
    frame.ip[0] = 0x60;
    frame.ip[5] = sizeof frame.message;
    frame.ip[6] = IPPROTO_ICMPV6;
    frame.ip[7] = 255;
    std::memcpy(frame.ip + 8, address.bytes.data(), 16);
    frame.ip[24] = 0xff;  // ff02::1
    frame.ip[25] = 0x02;
    frame.ip[39] = 1;
    frame.message[0] = ND_NEIGHBOR_ADVERT;
    frame.message[4] = 0x20;  // override
    std::memcpy(frame.message + 8, address.bytes.data(), 16);
    frame.message[24] = ND_OPT_TARGET_LINKADDR;
    frame.message[25] = 1;
    std::memcpy(frame.message + 26, mac_.bytes.data(), ETH_ALEN);
    uint32_t sum = sum_of(frame.ip + 8, 32) + sizeof frame.message + IPPROTO_ICMPV6 +
                   sum_of(frame.message, sizeof frame.message);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    frame.message[2] = uint8_t(~sum >> 8);
    frame.message[3] = uint8_t(~sum);
    if (::send(fd_.get(), &frame, sizeof frame, 0) < 0) return fail_errno("neighbour advertisement on " + link_);
    return {};
}

std::vector<Wire::Answer> ArpWire::answers() {
    std::vector<Answer> heard;
    Frame frame;
    for (int i = 0; i < answers_max; ++i) {
        const ssize_t n = ::recv(fd_.get(), &frame, sizeof frame, MSG_DONTWAIT);
        if (n < 0) break;
        if (size_t(n) < sizeof frame || frame.arp.arp_op != htons(ARPOP_REPLY)) continue;
        net::Mac mac;
        std::memcpy(mac.bytes.data(), frame.arp.arp_sha, ETH_ALEN);
        const uint8_t(&a)[4] = frame.arp.arp_spa;
        heard.emplace_back(net::Address::v4(a[0], a[1], a[2], a[3]), mac);
    }
    return heard;
}

bool ArpWire::has_carrier() {
    ifreq request{};
    std::strncpy(request.ifr_name, link_.c_str(), IFNAMSIZ - 1);
    return ::ioctl(fd_.get(), SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_RUNNING) != 0;
}

}  // namespace weft::kernel
