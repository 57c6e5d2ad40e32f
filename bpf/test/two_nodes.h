// TwoNodes: two data planes with their own maps on one wire, joined by the tunnel; packets made by the kernel.
//
//                        ┌─ n1 198.18.1.1 ─┬─ red_a 10.0.1.5 fd00::1:5     ┬─ blue_a, the same addresses
//   outside ── street ───┤                 └─ host 100.64.0.3 (red)
//   198.51.100.7         └─ n2 198.18.1.2 ─┬─ red_b 10.0.2.6 fd00::2:6     ┬─ blue_b, the same addresses
//                                          └─ host 100.64.0.5 (red)
//
// Each node's maps say where the other's addresses are, as the agent would. Namespaces are named by the process and go
// with the object. Traffic stays inside them.
#pragma once
#include "bpf/test/real_world.h"

namespace weft::test {

inline constexpr uint32_t other = 1;  // the other node's number, on both
inline constexpr unsigned wire_mtu = 1500;
inline constexpr unsigned inner_mtu = wire_mtu - TUNNEL_OVERHEAD;

enum class Tunnel { hooks, device };  // who writes and opens its packets

struct TwoNodes {
    TwoNodes();

    struct Node {
        Node(std::string_view name, std::string_view address)
            : table(name), place(std::string(name)), underlay(ip(address)) {}

        World table;
        Place place;
        Address underlay;
        Pod host;
        int uplink = 0;
        int tunnel = 0;
    };

    Node n1, n2;
    Place street, outside, red_a, red_b, blue_a, blue_b;
    Pod red_a_pod, red_b_pod, blue_a_pod, blue_b_pod;

    Pod wire_pod(Node& n, const Place& place, uint32_t vpc, std::string_view address, std::string_view v6,
                 uint8_t number);
    void offloads_off();
    void tunnel_by(Node& n, Tunnel whose);  // from the beginning: hooks
    static uint64_t packets_by_device(const Node& n);
    // The rows of `n` about what the other node has.
    void locate(Node& n, uint32_t vpc, std::string_view prefix);
    void reach(Node& n, const Node& the_other, unsigned mtu = inner_mtu);
    void peer(Node& n, uint32_t table, std::string_view prefix, uint32_t into);  // a route of kind peering
    void unpeer(Node& n, uint32_t table, std::string_view prefix);
    static uint64_t drops(const Node& n, abi::hook hook, abi::drop_reason reason);

private:
    void wire_node(Node& n, std::string_view host_address, uint8_t number);
};

}  // namespace weft::test
