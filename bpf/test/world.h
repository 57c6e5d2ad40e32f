// World: one node's data plane on a table: real programs and maps, packets fed in by BPF_PROG_TEST_RUN.
//
//   World world;
//   const Pod a = world.pod(red, "10.0.1.5");
//   const Outcome out = world.leaves(a, frame);   // a hop: what the program did, the packet after it, what was counted
//
// A scene's outcome is the next scene's input. All worlds of a test process share one installation in a BPF file system
// named by the process; each starts with empty maps. The process moves to a network namespace of its own.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/bpf_object.h"
#include "kernel/test_run.h"
#include "net/packet_builder.h"

namespace weft::test {

using kernel::BpfObject;
using kernel::ProgramName;
using net::Address;
using net::Bytes;
using net::Mac;
using net::PacketView;
using net::Protocol;

inline constexpr uint32_t red = 7;   // two VPCs with the same addresses
inline constexpr uint32_t blue = 8;
inline const Mac gateway_mac{GATEWAY_MAC};
inline const Mac uplink_mac{{2, 0, 0, 0, 0xee, 1}};
inline const Mac router_mac{{2, 0, 0, 0, 0xee, 2}};

inline constexpr int sent = 7;     // TC_ACT_REDIRECT
inline constexpr int dropped = 2;  // TC_ACT_SHOT
inline constexpr int passed = 0;   // TC_ACT_OK

Address ip(std::string_view text);
bool hooks_open_ipv6();  // a tunnel's packet with IPv6 inside; before kernel 6.3 the device has to

struct Pod {
    uint32_t id = 0;
    uint32_t vpc = 0;
    int ifindex = 0;
    Address address;
    Mac mac;

    net::PacketBuilder to(const Address& destination) const {
        return net::packet(mac, gateway_mac).ip(address, destination);
    }
};

struct Outcome {
    int action = -1;
    Bytes frame;
    PacketView packet;
    uint32_t mark = 0;
    std::optional<abi::drop_reason> reason;  // what was counted, if anything was
    std::optional<abi::hook> hook;           // and as whose

    bool reached(const Pod& pod) const { return action == sent && !reason && packet.destination_mac == pod.mac; }
};

std::string text(const Outcome& outcome);
std::ostream& operator<<(std::ostream& out, const Outcome& outcome);

struct Target {
    uint32_t backend;  // id
    uint32_t vpc;
    Address address;
    uint16_t port;
};

class World {
public:
    explicit World(std::string_view node = "node");  // another name: another node, with programs and maps of its own

    BpfObject& object() { return object_; }
    kernel::NodeMaps& maps() { return object_.maps(); }
    static std::string bpf_dir(std::string_view node = "node");  // <mount of this process>/node

    Pod pod(uint32_t vpc, std::string_view address, uint32_t flags = 0, std::string_view v6 = {});
    // The same on an interface that somebody else made.
    Pod wired_pod(uint32_t vpc, std::string_view address, int ifindex, const Mac& mac, uint32_t flags,
                  std::string_view v6 = {});
    void remove(const Pod& pod);
    void local_address(const Pod& pod, std::string_view address);
    void route(uint32_t vpc, std::string_view prefix, abi::route_kind kind);
    // The VPC's own ranges: 10.0.0.0/16 and fd00::/64 of pods, 172.21.0.0/20 and fd00:1::/108 of Services,
    // 100.64.0.0/10 and its IPv6 form.
    void ranges(uint32_t vpc);
    void node(std::string_view address, std::string_view v6 = {});

    // Frontend rows with their slots; `frontend_vpc` is where it is seen, the backends say where it leads.
    void service(uint32_t frontend_vpc, std::string_view address, uint16_t port, Protocol protocol, uint32_t service,
                 const std::vector<Target>& targets, uint32_t flags = 0, uint32_t owner = 0);
    void announce(std::string_view address, bool here);  // service() does it for public addresses
    void remove_backend(uint32_t id);

    Outcome leaves(const Pod& pod, const Bytes& frame) { return run(ProgramName::pod_egress, pod.ifindex, frame); }
    Outcome leaves(const Pod& pod, const net::PacketBuilder& packet) { return leaves(pod, packet.bytes()); }
    Outcome arrives(const Bytes& frame, uint32_t mark = 0) {
        return run(ProgramName::uplink_ingress, uplink_ifindex_, frame, {.mark = mark});
    }
    Outcome arrives(const net::PacketBuilder& packet, uint32_t mark = 0) { return arrives(packet.bytes(), mark); }
    // A program of the node itself sends this; what turns round is to arrive with its mark.
    Outcome node_sends(const net::PacketBuilder& packet) {
        return run(ProgramName::uplink_egress, uplink_ifindex_, packet.bytes(), {.is_made_here = true});
    }

    // The connection row that these two ends share, established or half-open.
    std::optional<abi::ct_entry> connection(uint32_t vpc, Protocol protocol, const Address& a, uint16_t a_port,
                                            const Address& b, uint16_t b_port);
    void age(uint32_t seconds);  // makes every conntrack entry look that much older

private:
    Outcome run(ProgramName program, int ifindex, const Bytes& frame, const kernel::TestSkb& skb = {});

    BpfObject& object_;
    uint32_t next_id_ = 1;
    int uplink_ifindex_ = 0;
};

}  // namespace weft::test
