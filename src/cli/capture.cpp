// weft capture: one packet socket in the namespace of a pod or a node. It only listens; nothing there changes.
#include "cli/capture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/place.h"
#include "kernel/netns.h"

namespace weft::cli {

namespace {

constexpr int receive_buffer_bytes = 8 << 20;

struct Source {
    Fd socket;
    std::string name;  // of the namespace
    std::map<int, std::string> interfaces;
};

Result<std::string> pod_netns_of(const Common& common, const Instance& instance, const std::string& where) {
    const size_t slash = where.find('/');
    const std::string ns = slash == std::string::npos ? common.ns : where.substr(0, slash);
    const std::string name = where.substr(slash == std::string::npos ? 0 : slash + 1);
    const auto client = kube::connect(TRY(find_endpoint(common)));
    const auto pod = client->get(kube::pods, {ns, name});
    if (!pod)
        return fail(pod.error().code, fmt::format("{} (neither a pod of {} nor a node, internet or fabric: kubectl get pods -A)",
                                                  pod.error().message, ns));
    if (pod->boolean({"spec", "hostNetwork"}))
        return fail(Code::invalid, fmt::format("{}/{} uses its node's network: weft capture {}", ns, name,
                                               pod->string({"spec", "nodeName"})));
    const std::string netns = instance.pod_netns(pod->uid());
    if (!kernel::Netns::exists(netns))
        return fail(Code::unavailable, fmt::format("{}/{} has no network on this machine (phase {}): kubectl -n {} describe pod {}",
                                                   ns, name, pod->string({"status", "phase"}), ns, name));
    return netns;
}

Result<std::string> netns_of(const Common& common, const Instance& instance, const std::string& where) {
    if (where.find('/') == std::string::npos && kernel::Netns::exists(instance.node_netns(where)))
        return instance.node_netns(where);
    return pod_netns_of(common, instance, where);
}

Result<Source> open_source(const std::string& netns_name, const std::string& interface) {
    const kernel::Netns netns = TRY(kernel::Netns::open(netns_name));
    return netns.run([&]() -> Result<Source> {
        Source source{.socket = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)), .name = netns_name, .interfaces = {}};
        if (!source.socket) return fail_errno("packet socket");
        std::string known;
        struct if_nameindex* const list = if_nameindex();
        for (const struct if_nameindex* entry = list; entry != nullptr && entry->if_index != 0; ++entry) {
            source.interfaces[int(entry->if_index)] = entry->if_name;
            known += std::string(" ") + entry->if_name;
        }
        if (list != nullptr) if_freenameindex(list);
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(ETH_P_ALL);
        if (!interface.empty()) {
            address.sll_ifindex = int(if_nametoindex(interface.c_str()));
            if (address.sll_ifindex == 0)
                return fail(Code::not_found, fmt::format("no interface \"{}\" there; there are:{}", interface, known));
        }
        const int on = 1;
        setsockopt(source.socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes);
        setsockopt(source.socket.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
        if (bind(source.socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
            return fail_errno("bind packet socket");
        return source;
    });
}

struct Frame {
    std::span<const uint8_t> bytes;
    uint32_t bytes_on_the_wire = 0;
    uint64_t time_ns = 0;
    int ifindex = 0;
    bool outgoing = false;
};

Result<Frame> receive(const Fd& socket, std::vector<uint8_t>& buffer) {
    sockaddr_ll from{};
    alignas(cmsghdr) char control[256];
    iovec part{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(socket.get(), &message, MSG_TRUNC);
    if (n < 0) return fail_errno("receive");
    Frame frame;
    frame.bytes_on_the_wire = uint32_t(n);
    frame.bytes = std::span(buffer).first(std::min(size_t(n), buffer.size()));
    frame.ifindex = from.sll_ifindex;
    frame.outgoing = from.sll_pkttype == PACKET_OUTGOING;
    for (cmsghdr* entry = CMSG_FIRSTHDR(&message); entry != nullptr; entry = CMSG_NXTHDR(&message, entry)) {
        if (entry->cmsg_level != SOL_SOCKET || entry->cmsg_type != SCM_TIMESTAMPNS) continue;
        timespec stamp{};
        std::memcpy(&stamp, CMSG_DATA(entry), sizeof stamp);
        frame.time_ns = uint64_t(stamp.tv_sec) * 1'000'000'000 + uint64_t(stamp.tv_nsec);
    }
    return frame;
}

std::string line_of(const Source& source, const Frame& frame, const Result<net::PacketView>& packet) {
    const time_t seconds = time_t(frame.time_ns / 1'000'000'000);
    tm clock{};
    localtime_r(&seconds, &clock);
    const auto interface = source.interfaces.find(frame.ifindex);
    const std::string what =
        packet ? words_of(*packet) : frame.bytes.size() >= 14 ? fmt::format("ethertype 0x{:02x}{:02x}", frame.bytes[12], frame.bytes[13])
                                                           : "a cut frame";
    return fmt::format("{:02}:{:02}:{:02}.{:06} {:<12} {:<3} {}, {} bytes\n", clock.tm_hour, clock.tm_min, clock.tm_sec,
                       frame.time_ns / 1000 % 1'000'000,
                       interface == source.interfaces.end() ? std::to_string(frame.ifindex) : interface->second,
                       frame.outgoing ? "out" : "in", what, frame.bytes_on_the_wire);
}

// Everything at once, so that an interrupted capture loses nothing.
Status write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0) return fail_errno("write");
        bytes.remove_prefix(size_t(n));
    }
    return {};
}

Result<int> open_target(const std::string& file, Fd& holder) {
    if (file.empty()) return 1;
    if (file == "-") {
        if (isatty(1)) return fail(Code::invalid, "a pcap file is not for the terminal: weft capture ... -w - | tcpdump -r -");
        return 1;
    }
    holder = Fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!holder) return fail_errno("open " + file);
    return holder.get();
}

Status run(const Common& common, const CaptureArgs& args) {
    const Filter filter = TRY(Filter::parse(args.filter));
    const Instance instance = TRY(find_instance(common));
    const Source source = TRY(open_source(TRY(netns_of(common, instance, args.where)), args.interface));
    Fd holder;
    const int target = TRY(open_target(args.file, holder));
    const bool as_file = !args.file.empty();
    if (as_file) TRY(write_all(target, pcap_head()));
    if (isatty(2)) fmt::print(stderr, "capturing in {}; end with Ctrl-C\n", source.name);
    const MonotonicTime deadline = system_clock().now() + std::chrono::seconds(args.seconds);
    std::vector<uint8_t> buffer(capture_bytes_max);
    for (uint64_t seen = 0; args.count == 0 || seen < args.count;) {
        pollfd wait{source.socket.get(), POLLIN, 0};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - system_clock().now()).count();
        if (args.seconds != 0 && left <= 0) break;
        if (::poll(&wait, 1, args.seconds == 0 ? -1 : int(left)) <= 0) continue;
        const Frame frame = TRY(receive(source.socket, buffer));
        const auto packet = net::read_packet(frame.bytes);
        if (!args.filter.empty() && (!packet || !filter.matches(*packet))) continue;
        TRY(write_all(target, as_file ? pcap_record(frame.time_ns, frame.bytes, frame.bytes_on_the_wire)
                                      : line_of(source, frame, packet)));
        seen++;
    }
    return {};
}

}  // namespace

int capture(const Common& common, const CaptureArgs& args) {
    const Status done = run(common, args);
    return done ? 0 : report(done.error());
}

}  // namespace weft::cli
