// Attaching: filters and links are adopted after a restart, replaced in place when the program changed, and go cleanly.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include <fmt/format.h>

#include "bpf/test/janitor.h"
#include "bpf/test/real_world.h"
#include "kernel/cgroup.h"
#include "kernel/cgroup_link.h"
#include "kernel/link.h"
#include "kernel/tc.h"

namespace weft::test {
namespace {

using kernel::Attached;
using kernel::Direction;

kernel::Netlink open_netlink() { return MUST(kernel::Netlink::open()); }

struct Filter : testing::Test {
    Filter() { ifindex = MUST(kernel::find_link(netlink, "pod3")).index; }

    World world;  // first: moves the process into its own namespace
    kernel::Netlink netlink = open_netlink();
    int ifindex = 0;
    const kernel::Program& pod_egress = world.object().program(ProgramName::pod_egress);
    const kernel::Program& uplink_ingress = world.object().program(ProgramName::uplink_ingress);

    ~Filter() override {
        (void)kernel::detach_filter(netlink, ifindex, Direction::ingress);
        (void)kernel::detach_filter(netlink, ifindex, Direction::egress);
    }
};

TEST_F(Filter, IsAttachedOnceAndThenAdoptedWithoutASingleWrite) {
    EXPECT_EQ(MUST(kernel::find_filter(netlink, ifindex, Direction::ingress)), std::nullopt);
    EXPECT_EQ(MUST(kernel::attach_filter(netlink, ifindex, Direction::ingress, pod_egress)), Attached::changed);
    const auto attached = MUST(kernel::find_filter(netlink, ifindex, Direction::ingress));
    ASSERT_TRUE(attached);
    EXPECT_EQ(attached->program_id, pod_egress.id);
    EXPECT_EQ(attached->tag, pod_egress.tag);

    kernel::Netlink restarted = MUST(kernel::Netlink::open());
    EXPECT_EQ(MUST(kernel::attach_filter(restarted, ifindex, Direction::ingress, pod_egress)), Attached::unchanged);
    EXPECT_EQ(restarted.writes(), 0u);
}

TEST_F(Filter, AnotherProgramReplacesItInOneRequest) {
    MUST(kernel::attach_filter(netlink, ifindex, Direction::ingress, pod_egress));
    const uint64_t before = netlink.writes();
    EXPECT_EQ(MUST(kernel::attach_filter(netlink, ifindex, Direction::ingress, uplink_ingress)), Attached::changed);
    EXPECT_EQ(netlink.writes(), before + 1);
    EXPECT_EQ(MUST(kernel::find_filter(netlink, ifindex, Direction::ingress))->program_id, uplink_ingress.id);
}

TEST_F(Filter, DirectionsAreIndependentAndDetachingTwiceIsFine) {
    MUST(kernel::attach_filter(netlink, ifindex, Direction::egress, uplink_ingress));
    EXPECT_EQ(MUST(kernel::find_filter(netlink, ifindex, Direction::ingress)), std::nullopt);
    MUST(kernel::attach_filter(netlink, ifindex, Direction::ingress, pod_egress));
    EXPECT_TRUE(kernel::detach_filter(netlink, ifindex, Direction::ingress));
    EXPECT_TRUE(kernel::detach_filter(netlink, ifindex, Direction::ingress));
    EXPECT_EQ(MUST(kernel::find_filter(netlink, ifindex, Direction::ingress)), std::nullopt);
    EXPECT_TRUE(MUST(kernel::find_filter(netlink, ifindex, Direction::egress)));
}

TEST_F(Filter, AnInterfaceThatIsNotThereIsAnErrorThatNamesIt) {
    const auto attached = kernel::attach_filter(netlink, 999999, Direction::ingress, pod_egress);
    ASSERT_FALSE(attached);
    EXPECT_NE(attached.error().message.find("999999"), std::string::npos) << attached.error().message;
}

TEST(FilterUnderTraffic, IsReplacedWithoutLosingAPacket) {
    RealWorld world;
    const kernel::Program& same = world.table.object().program(ProgramName::pod_egress);
    kernel::Program other;  // the same program under another tag: every attach() replaces it
    other.fd = MUST(same.fd.duplicate());
    other.name = same.name;
    other.tag = {1};
    constexpr int replacements = 300;
    const Fd server = world.red2.listen(Protocol::udp, ip("10.0.1.6"), 7000);
    const Fd mine = MUST(world.red1.connect(Protocol::udp, ip("10.0.1.6"), 7000));
    std::atomic<bool> done = false;
    std::thread replacer([&] {
        kernel::Netlink netlink = MUST(kernel::Netlink::open(world.node.netns()));
        for (int i = 0; i < replacements; ++i) {
            EXPECT_EQ(MUST(kernel::attach_filter(netlink, world.red1_pod.ifindex, Direction::ingress, other)),
                      Attached::changed);
        }
        done = true;
    });
    int datagrams = 0;
    for (; !done || datagrams == 0; ++datagrams) {
        if (!send_text(mine, "tick") || !receive_text(server, 100)) {
            ADD_FAILURE() << "datagram " << datagrams << " was lost";
            break;
        }
    }
    replacer.join();
    EXPECT_GT(datagrams, 0);
    std::printf("  %d datagrams during %d replacements\n", datagrams, replacements);
}

// A cgroup of this process, gone with the object.
struct TestCgroup {
    explicit TestCgroup(std::string_view what) : name(test_netns_name(what)) {
        mount = MUST(kernel::find_cgroup2());
        MUST(kernel::create_cgroup(mount, name));
    }

    ~TestCgroup() { (void)kernel::remove_cgroup(mount, name); }

    std::string path() const { return mount + "/" + name; }

    std::string mount;
    std::string name;
};

TEST(SocketLinks, AreAdoptedAndFollowARecreatedCgroup) {
    World world;
    const std::string dir = World::bpf_dir();
    {
        const TestCgroup cgroup("adopt");
        EXPECT_EQ(MUST(kernel::attach_socket_programs(world.object(), dir, cgroup.path())), Attached::changed);
        EXPECT_EQ(MUST(kernel::attach_socket_programs(world.object(), dir, cgroup.path())), Attached::unchanged);
    }
    const TestCgroup again("adopt");
    EXPECT_EQ(MUST(kernel::attach_socket_programs(world.object(), dir, again.path())), Attached::changed);
    EXPECT_EQ(MUST(kernel::attach_socket_programs(world.object(), dir, again.path())), Attached::unchanged);
    EXPECT_TRUE(kernel::detach_socket_programs(dir));
    EXPECT_TRUE(kernel::detach_socket_programs(dir));
}

TEST(SocketLinks, AnotherProgramIsPutInPlaceOfTheOld) {
    World world;
    const TestCgroup cgroup("update");
    const std::string pin = World::bpf_dir() + "/link_update_test";
    const auto hook = kernel::SocketHook::getpeername4;
    MUST(kernel::ensure_cgroup_link(pin, cgroup.path(), hook, world.object().program(ProgramName::getpeername4)));
    // The kernel compares program types only, so any of our socket programs will do as "another version".
    const auto ensure = [&](ProgramName name) {
        return MUST(kernel::ensure_cgroup_link(pin, cgroup.path(), hook, world.object().program(name)));
    };
    struct stat before {};
    struct stat after {};
    ASSERT_EQ(stat(pin.c_str(), &before), 0);
    EXPECT_EQ(ensure(ProgramName::connect4), Attached::changed);
    EXPECT_EQ(ensure(ProgramName::connect4), Attached::unchanged);
    EXPECT_EQ(ensure(ProgramName::getpeername4), Attached::changed);
    ASSERT_EQ(stat(pin.c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);  // the same pin, so the same link
    unlink(pin.c_str());
}

// What a process in the cgroup sees when it connects: the peer's name as it reads it, or errno. A child, because a
// socket belongs to the cgroup of its creator.
struct Seen {
    int error = 0;
    uint32_t peer = 0;
    uint16_t peer_port = 0;
};

Seen connect_in(const TestCgroup& cgroup, const Place& place, bool v6_socket, const Address& address, uint16_t port) {
    int ends[2];
    ENSURE(pipe(ends) == 0);
    const pid_t child = fork();
    if (child == 0) {
        Seen seen;
        const int domain = v6_socket ? AF_INET6 : AF_INET;
        if (!kernel::move_to_cgroup(cgroup.mount, cgroup.name, getpid()) ||
            setns(place.netns().fd(), CLONE_NEWNET) != 0)
            _exit(1);
        const int fd = socket(domain, SOCK_STREAM, 0);
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        std::copy(address.bytes.begin(), address.bytes.end(), v6.sin6_addr.s6_addr);
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        v4.sin_addr.s_addr = htonl(address.v4_host_order());
        const auto* target = v6_socket ? reinterpret_cast<sockaddr*>(&v6) : reinterpret_cast<sockaddr*>(&v4);
        if (connect(fd, target, v6_socket ? sizeof(v6) : sizeof(v4)) != 0) {
            seen.error = errno;
        } else if (v6_socket) {
            socklen_t length = sizeof(v6);
            getpeername(fd, reinterpret_cast<sockaddr*>(&v6), &length);
            seen.peer = ntohl(reinterpret_cast<const uint32_t*>(&v6.sin6_addr)[3]);
            seen.peer_port = ntohs(v6.sin6_port);
        } else {
            socklen_t length = sizeof(v4);
            getpeername(fd, reinterpret_cast<sockaddr*>(&v4), &length);
            seen.peer = ntohl(v4.sin_addr.s_addr);
            seen.peer_port = ntohs(v4.sin_port);
        }
        const auto written = write(ends[1], &seen, sizeof(seen));
        _exit(written == sizeof(seen) ? 0 : 1);
    }
    Seen seen;
    close(ends[1]);
    EXPECT_EQ(read(ends[0], &seen, sizeof(seen)), ssize_t(sizeof(seen)));
    close(ends[0]);
    waitpid(child, nullptr, 0);
    return seen;
}

struct Connect : testing::Test {
    Connect() {
        world.table.service(red, "172.21.0.5", 80, Protocol::tcp, 1, {{1, red, ip("10.0.1.6"), 8080}});
        world.table.service(red, "172.21.0.6", 80, Protocol::tcp, 2, {});
        MUST(kernel::attach_socket_programs(world.table.object(), World::bpf_dir(), cgroup.path()));
    }

    ~Connect() override { (void)kernel::detach_socket_programs(World::bpf_dir()); }

    RealWorld world;
    TestCgroup cgroup{"connect"};
    Address service = ip("172.21.0.5");
};

TEST_F(Connect, ATcpConnectIsTranslatedAtTheSocketAndShowsWhatWasAskedFor) {
    const Fd listener = world.red2.listen(Protocol::tcp, ip("10.0.1.6"), 8080);
    for (const bool v6_socket : {false, true}) {
        const Seen seen = connect_in(cgroup, world.red1, v6_socket, service, 80);
        EXPECT_EQ(seen.error, 0) << strerror(seen.error);
        EXPECT_EQ(seen.peer, service.v4_host_order());
        EXPECT_EQ(seen.peer_port, 80);
        const Fd accepted = MUST(accept_on(listener));
        EXPECT_EQ(peer_of(accepted), ip("10.0.1.5"));
    }
    // Nothing was left for the packets: every row is untranslated.
    const auto established = MUST(world.table.maps().ct_established->all());
    EXPECT_FALSE(established.empty());
    for (const auto& [key, entry] : established) EXPECT_EQ(entry.flags & abi::CT_TRANSLATED, 0);
}

TEST_F(Connect, AnIpv6ServiceIsTranslatedAtTheSocketToo) {
    const Address service6 = ip("fd00:1::5");
    world.table.service(red, "fd00:1::5", 80, Protocol::tcp, 4, {{4, red, ip("fd00::6"), 8080}});
    const Fd listener = world.red2.listen(Protocol::tcp, ip("fd00::6"), 8080);
    const Seen seen = connect_in(cgroup, world.red1, true, service6, 80);
    EXPECT_EQ(seen.error, 0) << strerror(seen.error);
    EXPECT_EQ(seen.peer, 5u) << "the last word of what was asked for";
    EXPECT_EQ(seen.peer_port, 80);
    const Fd accepted = MUST(accept_on(listener));
    EXPECT_EQ(peer_of(accepted), ip("fd00::5"));
    for (const auto& [key, entry] : MUST(world.table.maps().ct_established->all()))
        EXPECT_EQ(entry.flags & abi::CT_TRANSLATED, 0);
}

TEST_F(Connect, APodReachesItselfThroughItsService) {
    const Fd listener = world.red2.listen(Protocol::tcp, ip("10.0.1.6"), 8080);
    EXPECT_EQ(connect_in(cgroup, world.red2, false, service, 80).error, 0);
}

TEST_F(Connect, AFrontendWithoutEndpointsIsLeftAloneAndRefusedByThePacketPath) {
    EXPECT_EQ(connect_in(cgroup, world.red1, false, ip("172.21.0.6"), 80).error, ECONNREFUSED);
}

TEST_F(Connect, TheNamespaceDecidesWhoseServiceItIs) {
    const Fd red_listener = world.red2.listen(Protocol::tcp, ip("10.0.1.6"), 8080);
    const Fd blue_listener = world.blue2.listen(Protocol::tcp, ip("10.0.1.6"), 9090);
    world.table.service(blue, "172.21.0.5", 80, Protocol::tcp, 3, {{3, blue, ip("10.0.1.6"), 9090}});
    EXPECT_EQ(connect_in(cgroup, world.blue1, false, service, 80).error, 0);
    EXPECT_TRUE(accept_on(blue_listener));
    EXPECT_EQ(connect_in(cgroup, world.red1, false, service, 80).error, 0);
    EXPECT_TRUE(accept_on(red_listener));
}

}  // namespace
}  // namespace weft::test
