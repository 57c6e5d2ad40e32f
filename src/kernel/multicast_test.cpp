// A macvlan lets multicast in as a real card does: what was asked for on it.
//
//   asker ── veth ── wire ── macvlan "card" (here the groups are joined)
#include "kernel/multicast.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "kernel/netns.h"

namespace weft::kernel {
namespace {

constexpr uint16_t our_ethertype = 0x88b5;  // for experiments: IEEE 802

struct Card : testing::Test {
    Card() {
        netns.emplace(MUST(Netns::create(name)));
        for (const char* command : {"link add asker type veth peer name wire", "link set asker up", "link set wire up",
                                    "link add link wire name card type macvlan mode private", "link set card up"}) {
            const std::string line = "ip -n " + name + " " + command;
            if (std::system(line.c_str()) != 0) ADD_FAILURE() << line;
        }
        mouth = listen_on("asker");
        ear = listen_on("card");
        group = solicited_node_group(MUST(net::Address::parse("2001:db8:113::12:3456")));
    }

    ~Card() override { (void)Netns::remove(name); }

    Fd listen_on(const char* link) {
        return MUST(netns->run([&]() -> Result<Fd> {
            Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(our_ethertype)));
            sockaddr_ll at{};
            at.sll_family = AF_PACKET;
            at.sll_protocol = htons(our_ethertype);
            at.sll_ifindex = int(index_of(link));
            if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) < 0) return fail_errno("listen");
            return fd;
        }));
    }

    uint32_t index_of(const char* link) {
        return MUST(netns->run([&]() -> Result<uint32_t> { return if_nametoindex(link); }));
    }

    void say(const net::Mac& to, char word) {
        std::array<char, 60> frame{};
        std::memcpy(frame.data(), to.bytes.data(), ETH_ALEN);
        frame[6] = 2;
        frame[12] = char(our_ethertype >> 8);
        frame[13] = char(our_ethertype & 0xff);
        frame[14] = word;
        ASSERT_EQ(::send(mouth.get(), frame.data(), frame.size(), 0), ssize_t(frame.size()));
    }

    // The next word that gets through to the card.
    char hear() {
        pollfd wait{ear.get(), POLLIN, 0};
        std::array<char, 60> frame{};
        if (::poll(&wait, 1, 10'000) != 1 || ::recv(ear.get(), frame.data(), frame.size(), 0) < 15) return 0;
        return frame[14];
    }

    bool is_joined(const net::Mac& which) {
        const std::string list =
            MUST(netns->run([&]() -> Result<std::string> { return read_file("/proc/thread-self/net/dev_mcast"); }));
        std::string digits = which.text();
        std::erase(digits, ':');
        return list.find(digits) != std::string::npos;
    }

    const std::string name = "weft-mtest" + std::to_string(getpid());
    std::optional<Netns> netns;
    Fd mouth, ear;
    const net::Mac everybody{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    net::Mac group;
};

TEST_F(Card, takes_a_group_in_when_it_is_joined) {
    EXPECT_EQ(group.text(), "33:33:ff:12:34:56");
    say(group, '1');
    say(everybody, '2');
    EXPECT_EQ(hear(), '2') << "nobody has asked for the group";
    auto groups = MUST(netns->run([&] { return MulticastGroups::open(index_of("card")); }));
    ASSERT_TRUE(groups.set({group}));
    say(group, '3');
    EXPECT_EQ(hear(), '3');
}

// A macvlan's filter forgets nothing (kernel 6.18), so what is left is asked of the link's own list.
TEST_F(Card, leaves_a_group_with_whoever_joined_it) {
    const net::Mac other = solicited_node_group(MUST(net::Address::parse("fd00::7")));
    {
        auto groups = MUST(netns->run([&] { return MulticastGroups::open(index_of("card")); }));
        ASSERT_TRUE(groups.set({group, other}));
        EXPECT_TRUE(is_joined(group) && is_joined(other));
        ASSERT_TRUE(groups.set({other}));
        EXPECT_FALSE(is_joined(group));
        EXPECT_TRUE(is_joined(other));
    }
    EXPECT_FALSE(is_joined(other));
}

}  // namespace
}  // namespace weft::kernel
