#include "support/raw.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "abi/endpoint.h"
#include "kernel/netns.h"
#include "support/objects.h"

namespace weft::test {
namespace {

constexpr int receive_buffer_bytes = 128 << 20;
constexpr unsigned frames_at_once = 64;
constexpr size_t frame_bytes_max = 2048;
constexpr size_t strangers_kept = 5;

// Bound to eth0; `protocol` 0 hears nothing.
Result<Fd> packet_socket(const kernel::Netns& netns, uint16_t protocol) {
    return netns.run([&]() -> Result<Fd> {
        Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
        if (!fd) return fail_errno("packet socket");
        sockaddr_ll place{};
        place.sll_family = AF_PACKET;
        place.sll_protocol = htons(protocol);
        place.sll_ifindex = int(::if_nametoindex("eth0"));
        if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&place), sizeof place) < 0) return fail_errno("bind to eth0");
        return fd;
    });
}

}  // namespace

Result<RawDoor> RawDoor::open(const World& world, const std::string& ns, const std::string& pod) {
    const json::Value object = world.get("pod " + pod, ns);
    RawDoor door;
    door.ns = ns;
    door.pod = pod;
    door.node = text_at(object, {"spec", "nodeName"});
    door.netns = world.instance().pod_netns(text_at(object, {"metadata", "uid"}));
    const json::Array* const ips = json::find_array(object, {"status", "podIPs"});
    for (const json::Value& entry : ips == nullptr ? json::Array() : *ips) {
        const net::Address address = TRY(net::Address::parse(json::find_string(entry, {"ip"})));
        (address.is_v4() ? door.v4 : door.v6) = address;
    }
    const kernel::Netns netns = TRY(kernel::Netns::open(door.netns));
    door.socket_ = TRY(packet_socket(netns, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "eth0");
    if (::ioctl(door.socket_.get(), SIOCGIFHWADDR, &request) < 0) return fail_errno("MAC of eth0");
    std::memcpy(door.mac.bytes.data(), request.ifr_hwaddr.sa_data, 6);
    return door;
}

bool RawDoor::send(const net::Bytes& frame) const {
    return ::send(socket_.get(), frame.data(), frame.size(), 0) == ssize_t(frame.size());
}

net::PacketBuilder RawDoor::frame() const { return net::packet(mac, net::Mac{GATEWAY_MAC}); }

Ear::Ear(const std::string& netns, char stranger, const net::Address& third) : stranger_(stranger), third_(third) {
    const kernel::Netns place = MUST(kernel::Netns::open(netns));
    socket_ = MUST(packet_socket(place, ETH_P_ALL));
    (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    thread_ = std::thread([this] { listen(); });
}

Ear::~Ear() {
    ends_ = true;
    thread_.join();
}

uint64_t Ear::missed() const {
    tpacket_stats stats{};
    socklen_t bytes = sizeof stats;  // reading them sets them to zero
    if (::getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &bytes) == 0) missed_ += stats.tp_drops;
    return missed_;
}

std::vector<std::string> Ear::strangers() const {
    const std::lock_guard lock(mutex_);
    return strangers_;
}

void Ear::listen() {
    std::vector<std::array<char, frame_bytes_max>> room(frames_at_once);
    std::vector<sockaddr_ll> from(frames_at_once);
    std::vector<iovec> pieces(frames_at_once);
    std::vector<mmsghdr> messages(frames_at_once);
    while (true) {
        for (unsigned i = 0; i < frames_at_once; ++i) {
            pieces[i] = {room[i].data(), room[i].size()};
            messages[i] = {};
            messages[i].msg_hdr.msg_iov = &pieces[i];
            messages[i].msg_hdr.msg_iovlen = 1;
            messages[i].msg_hdr.msg_name = &from[i];
            messages[i].msg_hdr.msg_namelen = sizeof from[i];
        }
        const int n = ::recvmmsg(socket_.get(), messages.data(), frames_at_once, MSG_DONTWAIT, nullptr);
        for (int i = 0; i < n; ++i)
            if (from[size_t(i)].sll_pkttype != PACKET_OUTGOING) judge(room[size_t(i)].data(), messages[size_t(i)].msg_len);
        if (n > 0) continue;
        if (ends_) return;  // after the last of what had come
        pollfd wait{socket_.get(), POLLIN, 0};
        (void)::poll(&wait, 1, 100);
    }
}

void Ear::judge(const char* frame, size_t bytes) {
    const std::string_view text(frame, std::min(bytes, frame_bytes_max));
    const size_t at = text.find(raw_mark);
    if (at == text.npos || at + raw_mark.size() >= text.size()) return;
    const size_t letter = index(text[at + raw_mark.size()]);
    if (stranger_ != 0 && letter == index(stranger_)) {
        const auto read = net::read_packet({reinterpret_cast<const uint8_t*>(frame), text.size()});
        if (read && !third_.is_unspecified() && read->source == third_) {
            ++told_by_third_;
            return;
        }
        const std::lock_guard lock(mutex_);
        if (strangers_.size() < strangers_kept) strangers_.push_back(read ? read->text() : read.error().message);
    }
    heard_[letter].fetch_add(1, std::memory_order_relaxed);
    // As it was sent: not inside an error or another frame.
    const bool is_whole = at == 14 + 20 + 8 || at == 14 + 40 + 8;
    if (is_whole && text.substr(at + raw_mark.size() + 1).starts_with(valid_word))
        valid_[letter].fetch_add(1, std::memory_order_relaxed);
}

}  // namespace weft::test
