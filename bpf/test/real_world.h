// RealWorld: namespaces, veths and sockets; the programs attached by tc; packets made by the kernel.
//
//   outside 198.51.100.7 ──eth0──uplink─ node 198.18.1.1 ─┬─ red1 10.0.1.5   ─┬─ blue1 10.0.1.5
//                                                       ├─ red2 10.0.1.6   ─┴─ blue2 10.0.1.6
//                                                       └─ weft_net ── weft_host 100.64.0.3 (red)
//
// Everybody has IPv6 too: pods fd00::5 and ::6, the host fd77:6566:7400::6440:3, outside 2001:db8:7::7, the node
// 2001:db8:18::1. Every namespace is named by the process and goes with the object. Traffic stays inside them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "bpf/test/world.h"
#include "kernel/netlink.h"
#include "kernel/netns.h"
#include "kernel/tc.h"

namespace weft::test {

// A namespace with its sockets. Errors are errno as a message: tests look for "refused", "timed out".
class Place {
public:
    explicit Place(std::string name);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    const std::string& name() const { return name_; }
    const kernel::Netns& netns() const { return *netns_; }

    Fd listen(Protocol protocol, const Address& address,
              uint16_t port) const;  // a bound UDP socket, or a listening TCP one
    Result<Fd> connect(Protocol protocol, const Address& address, uint16_t port) const;
    void offloads_off(std::string_view interface) const;

private:
    std::string name_;
    std::optional<kernel::Netns> netns_;
};

void ip_command(const std::string& arguments);  // `ip ...`, must succeed

Result<Fd> accept_on(const Fd& listener);
Status send_text(const Fd& socket, std::string_view text);
Result<std::string> receive_text(const Fd& socket, size_t bytes);  // exactly so many (TCP), or one datagram
// One datagram and its sender, answered with `answer`.
Result<std::string> answer_datagram(const Fd& socket, std::string_view answer, Address* from = nullptr);
Address peer_of(const Fd& socket);

class RealWorld {
public:
    RealWorld();

    World table;  // maps and programs
    Place node, outside, red1, red2, blue1, blue2;
    Pod red1_pod, red2_pod, blue1_pod, blue2_pod, host_pod;

    void offloads_off(bool everywhere);  // else on the node's side only

private:
    Pod wire_pod(const Place& place, uint32_t vpc, std::string_view address, std::string_view v6, uint32_t number);
    Pod wire_host();
    void wire_uplink();
    void attach(int ifindex, ProgramName program, kernel::Direction direction = kernel::Direction::ingress);
};

}  // namespace weft::test
