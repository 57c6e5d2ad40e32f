// Whatever pods send, valid or not: it reaches endpoints of its own VPC, or of one that its route table leads to by a
// peering, or goes back to its sender, or nowhere.
//
//   red and blue: a 10.0.1.5 fd00::5   b 10.0.1.6 fd00::6   Services 172.21.0.5, fd00:1::5 → b      the same in both
//   green: g 10.20.1.5 fd00:20::5, peered with red while both say so; never with blue
//
// WEFT_TEST_SEED replays a run, WEFT_ISOLATION_PROBES says how many frames (10^7 by ./dev test --long).
#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "bpf/test/world.h"

namespace weft::test {
namespace {

constexpr uint32_t green = 9;
constexpr uint32_t probes_default = 20000;
constexpr uint32_t changes_every = 50;  // frames between two changes of the world

uint64_t number_from(const char* variable, uint64_t otherwise) {
    const char* given = std::getenv(variable);
    return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

struct Isolation : testing::Test {
    Isolation() {
        for (const uint32_t vpc : {red, blue}) {
            world.ranges(vpc);
            pods.push_back(world.pod(vpc, "10.0.1.5", 0, "fd00::5"));
            pods.push_back(world.pod(vpc, "10.0.1.6", 0, "fd00::6"));
            const Address v4 = ip("10.0.1.6"), v6 = ip("fd00::6");
            world.service(vpc, "172.21.0.5", 53, Protocol::udp, vpc, {{vpc, vpc, v4, 5353}});
            world.service(vpc, "172.21.0.5", 80, Protocol::tcp, vpc + 100, {{vpc + 100, vpc, v4, 8080}});
            world.service(vpc, "fd00:1::5", 53, Protocol::udp, vpc + 200, {{vpc + 200, vpc, v6, 5353}});
            world.service(vpc, "fd00:1::5", 80, Protocol::tcp, vpc + 300, {{vpc + 300, vpc, v6, 8080}});
        }
        for (const char* block : {"10.20.0.0/16", "fd00:20::/64"}) world.route(green, block, abi::ROUTE_LOCAL);
        pods.push_back(world.pod(green, "10.20.1.5", 0, "fd00:20::5"));
    }

    // Below `bound`, from the seeded stream.
    uint32_t any(uint32_t bound) { return uint32_t(random() % bound); }

    uint64_t random() {  // xorshift64*: the test must not depend on how the library draws
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return state * 0x2545f4914f6cdd1dULL;
    }

    Address target(bool v6) {
        static const char* const four[] = {"10.0.1.6", "10.0.1.5", "172.21.0.5", "10.20.1.5", "10.0.1.6"};
        static const char* const six[] = {"fd00::6", "fd00::5", "fd00:1::5", "fd00:20::5", "fd00::6"};
        const uint32_t which = any(5);
        return ip(v6 ? six[which] : four[which]);
    }

    net::PacketBuilder from(const Pod& pod, bool v6, const Address& to) {
        const Address source = !v6 ? pod.address : pod.vpc == green ? ip("fd00:20::5")
                               : pod.address == ip("10.0.1.5")      ? ip("fd00::5")
                                                                    : ip("fd00::6");
        return net::packet(pod.mac, gateway_mac).ip(source, to);
    }

    void transport(net::PacketBuilder& packet) {
        const auto port = uint16_t(20000 + any(200));
        switch (any(3)) {
            case 0: packet.udp(port, any(2) != 0 ? 53 : 5353); break;
            case 1: packet.tcp(port, any(2) != 0 ? 80 : 8080, uint8_t(any(32))); break;
            default: packet.echo(any(2) != 0, port); break;
        }
    }

    // The packet an error speaks of: one that the receiver of the error may once have sent to the sender.
    Bytes embedded(const Pod& pod, bool v6, const Address& to) {
        net::PacketBuilder inner = net::packet(gateway_mac, pod.mac);
        const Bytes outer = from(pod, v6, to).udp(1, 1).bytes();
        const auto seen = net::read_packet(outer);
        inner.ip(to, any(4) != 0 ? seen->source : target(v6));
        transport(inner);
        Bytes bytes = inner.bytes();
        bytes.erase(bytes.begin(), bytes.begin() + 14);
        bytes.resize(std::min<size_t>(bytes.size(), (v6 ? 40 : 20) + 8 + any(24)));
        return bytes;
    }

    Bytes probe(const Pod& pod) {
        const bool v6 = any(3) == 0;
        const Address to = target(v6);
        net::PacketBuilder packet = from(pod, v6, to);
        if (any(8) == 0) {  // an ICMP error about anything
            const Bytes inner = embedded(pod, v6, to);
            if (v6) packet.icmp(uint8_t(1 + any(4)), uint8_t(any(2)), 1280);
            else packet.icmp(any(2) != 0 ? 3 : 11, uint8_t(any(5)), 1280);
            return packet.payload(inner).bytes();
        }
        const bool in_pieces = any(8) == 0;
        if (in_pieces && v6) packet.ipv6_fragment(uint16_t(any(3) * 8 | any(2)), any(8));
        transport(packet);
        if (in_pieces && !v6) packet.fragment(uint16_t(any(3) | any(2) << 13));
        return packet.payload("tag-of-" + std::to_string(pod.vpc)).bytes();
    }

    // Routes come and go, rows of the other side too, connections grow old, a backend leaves and returns.
    void change_the_world() {
        switch (any(4)) {
            case 0: peer(red, green, red_to_green); break;
            case 1: peer(green, red, green_to_red); break;
            case 2: world.age(any(200)); break;
            default:
                world.route(any(2) != 0 ? red : blue, "10.0.9.0/24",
                            any(2) != 0 ? abi::ROUTE_BLACKHOLE : abi::ROUTE_LOCAL);
                break;
        }
    }

    void peer(uint32_t of, uint32_t to, bool& is_there) {
        is_there = !is_there;
        static constexpr const char* blocks_of_green[] = {"10.20.0.0/16", "fd00:20::/64"};
        static constexpr const char* blocks_of_red[] = {"10.0.0.0/16", "fd00::/64"};
        for (const char* block : to == green ? blocks_of_green : blocks_of_red) {
            const auto key = abi::route_key_of(of, MUST(net::Prefix::parse(block)));
            abi::route row{};
            row.kind = abi::ROUTE_PEERING;
            row.target = to;
            if (is_there) MUST(world.maps().routes->put(key, row));
            else MUST(world.maps().routes->erase(key));
        }
    }

    bool may_reach(uint32_t sender, uint32_t receiver) const {
        if (sender == receiver) return true;
        return (sender == red && receiver == green && red_to_green) ||
               (sender == green && receiver == red && green_to_red);
    }

    World world;
    std::vector<Pod> pods;
    bool red_to_green = false, green_to_red = false;
    uint64_t state = number_from("WEFT_TEST_SEED", uint64_t(time(nullptr)) * 2654435761u | 1);
};

TEST_F(Isolation, NoFrameCrossesBetweenVpcsWithTheSameAddressesNorOverAPeeringThatIsNotThere) {
    const uint64_t probes = number_from("WEFT_ISOLATION_PROBES", probes_default);
    std::printf("  WEFT_TEST_SEED=%llu, %llu probes\n", static_cast<unsigned long long>(state),
                static_cast<unsigned long long>(probes));
    uint64_t delivered = 0, peered = 0;
    for (uint64_t i = 0; i < probes; ++i) {
        if (i % changes_every == 0) change_the_world();
        const Pod& pod = pods[any(uint32_t(pods.size()))];
        Bytes frame = probe(pod);
        const bool broken = any(3) == 0;
        for (uint32_t changes = broken ? 1 + any(4) : 0; changes > 0; --changes)
            frame[any(uint32_t(std::min<size_t>(frame.size(), 94)))] = uint8_t(random());
        const Outcome out = world.leaves(pod, frame);
        if (out.action == dropped) {
            ASSERT_TRUE(out.reason) << "a silent drop: " << out;
            continue;
        }
        ASSERT_EQ(out.action, sent) << out;
        if (out.reason) continue;  // answered in place: back to the MAC in the frame, on the sender's own interface
        const auto receiver = std::find_if(pods.begin(), pods.end(), [&](const Pod& other) {
            return other.mac == out.packet.destination_mac;
        });
        ASSERT_NE(receiver, pods.end()) << out;
        ASSERT_TRUE(may_reach(pod.vpc, receiver->vpc)) << "probe " << i << " from VPC " << pod.vpc << ": " << out;
        ++delivered;
        peered += receiver->vpc != pod.vpc;
    }
    EXPECT_GT(delivered, probes / 5);
    EXPECT_GT(peered, probes / 200) << "the peering was never used: nothing was shown about it";
    std::printf("  delivered %llu, of them over the peering %llu\n", static_cast<unsigned long long>(delivered),
                static_cast<unsigned long long>(peered));
}

}  // namespace
}  // namespace weft::test
