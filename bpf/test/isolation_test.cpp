// Whatever pods send, valid or not: it reaches endpoints of its own VPC, or goes back to its sender, or nowhere.
//
//   red and blue: a 10.0.1.5   b 10.0.1.6   Service 172.21.0.5 → b      the same in both
#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "bpf/test/world.h"

namespace weft::test {
namespace {

constexpr int frames = 20000;

struct Isolation : testing::Test {
    Isolation() {
        for (const uint32_t vpc : {red, blue}) {
            world.ranges(vpc);
            pods.push_back(world.pod(vpc, "10.0.1.5"));
            pods.push_back(world.pod(vpc, "10.0.1.6"));
            world.service(vpc, "172.21.0.5", 53, Protocol::udp, vpc, {{vpc, vpc, ip("10.0.1.6"), 5353}});
            world.service(vpc, "172.21.0.5", 80, Protocol::tcp, vpc + 100, {{vpc + 100, vpc, ip("10.0.1.6"), 8080}});
        }
    }

    // Below `bound`, from the seeded stream.
    uint32_t any(uint32_t bound) { return uint32_t(random() % bound); }

    uint64_t random() {  // xorshift64*: the test must not depend on how the library draws
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return state * 0x2545f4914f6cdd1dULL;
    }

    net::PacketBuilder valid(const Pod& from) {
        const Address to = any(2) != 0 ? ip("10.0.1.6") : any(2) != 0 ? ip("172.21.0.5") : ip("10.0.1.5");
        auto packet = from.to(to);
        const auto port = uint16_t(20000 + any(200));
        switch (any(3)) {
            case 0: packet.udp(port, any(2) != 0 ? 53 : 5353); break;
            case 1: packet.tcp(port, any(2) != 0 ? 80 : 8080, uint8_t(any(32))); break;
            default: packet.echo(any(2) != 0, port); break;
        }
        return packet.payload(from.vpc == red ? "tag-red " : "tag-blue");
    }

    World world;
    std::vector<Pod> pods;
    uint64_t state = random_seed();

    static uint64_t random_seed() {
        const char* given = std::getenv("WEFT_TEST_SEED");
        return given != nullptr ? std::strtoull(given, nullptr, 10) : uint64_t(time(nullptr)) * 2654435761u | 1;
    }
};

TEST_F(Isolation, NoFrameCrossesBetweenVpcsWithTheSameAddresses) {
    std::printf("  WEFT_TEST_SEED=%llu\n", static_cast<unsigned long long>(state));
    int delivered = 0;
    for (int i = 0; i < frames; ++i) {
        const Pod& from = pods[any(uint32_t(pods.size()))];
        Bytes frame = valid(from).bytes();
        const bool broken = any(3) == 0;
        for (uint32_t changes = broken ? 1 + any(4) : 0; changes > 0; --changes) {
            frame[any(uint32_t(std::min<size_t>(frame.size(), 54)))] = uint8_t(random());
        }
        const Outcome out = world.leaves(from, frame);
        if (out.action == dropped) {
            EXPECT_TRUE(out.reason) << "a silent drop: " << out;
            continue;
        }
        ASSERT_EQ(out.action, sent) << out;
        const Mac& to = out.packet.destination_mac;
        const auto own = [&](const Pod& pod) { return pod.vpc == from.vpc && pod.mac == to; };
        // Answers in place go back to the MAC that stands in the frame, on the sender's own interface.
        EXPECT_TRUE(std::any_of(pods.begin(), pods.end(), own) || out.reason) << out;
        delivered += !out.reason;
    }
    EXPECT_GT(delivered, frames / 3);
}

}  // namespace
}  // namespace weft::test
