// The keeper with real namespaces and a small real worker (this program again):
//
//   netns weft-I-n1        the node: the keeper's own
//   netns weft-I-n1-v7     10.96.0.10 on lo     both VPCs have the same address;
//   netns weft-I-n1-v8     10.96.0.10 on lo     the worker answers "<its pid> <vni>" on UDP and TCP port 53
//
// I is unique to this process; everything named by it is removed at the end.
#include "keeper/main.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <charconv>
#include <thread>

#include "base/rng.h"
#include "base/strings.h"
#include "worker/worker.h"

namespace weft::keeper {
namespace {

using namespace std::chrono_literals;

constexpr uint16_t dns_port = 53;
const net::Address service = net::Address::v4(10, 96, 0, 10);

std::string describe(int vni) { return std::to_string(getpid()) + " " + std::to_string(vni); }

// The worker under test: answers who and where it is, forever. Asks for its listeners again and again, as real ones do.
int run_test_worker(std::string_view name) {
    Result<worker::Start> started = worker::start(name);
    if (!started || started->api.token != "secret" || !worker::enter_sandbox()) return 3;
    struct Socket {
        Fd fd;
        uint32_t vni;
    };
    std::vector<Socket> open;
    std::vector<Fd> connections;
    for (;;) {
        open.clear();
        for (const uint32_t vni : {7u, 8u}) {
            for (const auto protocol : {net::Protocol::udp, net::Protocol::tcp}) {
                auto sockets = started->channel->listen({vni, service, dns_port, protocol}, 1);
                if (sockets) open.push_back({std::move(sockets->front()), vni});
            }
        }
        std::vector<pollfd> waiting;
        for (const Socket& socket : open) waiting.push_back({socket.fd.get(), POLLIN, 0});
        poll(waiting.data(), waiting.size(), 200);
        for (const Socket& socket : open) {
            const std::string answer = describe(int(socket.vni));
            sockaddr_storage peer{};
            socklen_t size = sizeof peer;
            char byte = 0;
            if (recvfrom(socket.fd.get(), &byte, 1, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&peer), &size) >= 0) {
                sendto(socket.fd.get(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
            }
            Fd connection(accept4(socket.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (connection) {
                send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
                connections.push_back(std::move(connection));
            }
        }
    }
}

int run_test_keeper(const char* instance, const char* self) {
    const Options options{*Instance::parse(instance), "n1", self, "", {"dns"}};
    std::stop_source stop;
    const Status status = run(options, stop.get_token());
    return status ? 0 : status.error().code == Code::conflict ? 4 : 5;
}

void shell(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

void quietly(const std::string& command) {
    [[maybe_unused]] const int ignored = std::system((command + " 2>/dev/null").c_str());
}

bool eventually(const std::function<bool()>& fact, Duration patience = 10s) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!fact()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(10ms);
    }
    return true;
}

// What a function gives inside a namespace, on a thread of its own.
template <class F>
auto inside(const std::string& netns, F work) {
    decltype(work()) result{};
    std::thread([&] {
        const Fd there(open(Instance::netns_path(netns).c_str(), O_RDONLY | O_CLOEXEC));
        if (there && setns(there.get(), CLONE_NEWNET) == 0) result = work();
    }).join();
    return result;
}

sockaddr_in service_address() {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(dns_port);
    to.sin_addr.s_addr = htonl(service.v4_host_order());
    return to;
}

Fd connected(int type) {
    Fd fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
    const sockaddr_in to = service_address();
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fd.reset();
    return fd;
}

std::string reply_on(const Fd& fd, Duration patience) {
    pollfd waiting{fd.get(), POLLIN, 0};
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(patience).count();
    if (poll(&waiting, 1, int(ms)) <= 0) return "";
    char text[64];
    const ssize_t got = recv(fd.get(), text, sizeof text, 0);
    return got > 0 ? std::string(text, size_t(got)) : "";
}

// "<pid> <vni>", "" without an answer.
std::string ask_udp(const std::string& netns, Duration patience = 1s) {
    return inside(netns, [&] {
        const Fd fd = connected(SOCK_DGRAM);
        send(fd.get(), "?", 1, MSG_NOSIGNAL);
        return reply_on(fd, patience);
    });
}

pid_t pid_in(const std::string& answer) {
    pid_t pid = 0;
    std::from_chars(answer.data(), answer.data() + answer.size(), pid);
    return pid;
}

// The inode of the UDP socket bound in a namespace, from its /proc/net/udp.
std::string bound_inode(const std::string& netns) {
    return inside(netns, [] {
        std::string inodes;
        const Result<std::string> table = read_file("/proc/thread-self/net/udp");
        if (!table) return inodes;
        for (const std::string_view line : split(*table, '\n')) {
            if (line.find("0A00600A:0035") == std::string_view::npos) continue;
            std::vector<std::string_view> fields;
            for (const std::string_view field : split(line, ' ')) {
                if (!field.empty()) fields.push_back(field);
            }
            if (fields.size() > 9) inodes += std::string(fields[9]) + ",";
        }
        return inodes;
    });
}

std::string status_field(pid_t pid, std::string_view name) {
    const Result<std::string> status = read_file("/proc/" + std::to_string(pid) + "/status");
    if (!status) return "gone";
    for (const std::string_view line : split(*status, '\n')) {
        if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ':') {
            return std::string(trim(line.substr(name.size() + 1)));
        }
    }
    return "absent";
}

class KeeperTest : public testing::Test {
protected:
    KeeperTest() : name_("kt" + std::to_string(getpid())), instance_(*Instance::parse(name_)) {}

    void SetUp() override {
        for (const int vni : {7, 8}) make_vpc(vni);
        start_keeper();
        // Later than the keeper, as on a first start: the worker waits for it.
        ASSERT_TRUE(make_directories(instance_.run_dir() + "/tokens", 0700));
        ASSERT_TRUE(write_file(instance_.token_file("dns"), "secret"));
    }

    void TearDown() override {
        if (keeper_ > 0) kill_and_wait(keeper_);
        for (const pid_t pid : workers()) kill(pid, SIGKILL);
        EXPECT_TRUE(eventually([&] { return workers().empty(); }));
        for (const int vni : {7, 8}) quietly("ip netns del " + vpc(vni));
        EXPECT_TRUE(remove_tree(instance_.run_dir()));
    }

    std::string vpc(int vni) const { return instance_.vpc_netns("n1", uint32_t(vni)); }

    void make_vpc(int vni) {
        shell("ip netns add " + vpc(vni));
        shell("ip -n " + vpc(vni) + " link set lo up && ip -n " + vpc(vni) + " addr add 10.96.0.10/32 dev lo");
        ASSERT_TRUE(inside(vpc(vni), [] {
            return write_existing("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0").has_value();
        }));
    }

    pid_t spawn_keeper() {
        const std::string self = "/proc/self/exe";
        char* const arguments[] = {const_cast<char*>("keeper"), const_cast<char*>("keeper"), name_.data(), nullptr};
        pid_t pid = -1;
        EXPECT_EQ(posix_spawn(&pid, self.c_str(), nullptr, nullptr, arguments, environ), 0);
        return pid;
    }

    void start_keeper() { keeper_ = spawn_keeper(); }

    static void kill_and_wait(pid_t pid) {
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
    }

    // Processes that carry our instance name.
    std::vector<pid_t> workers() const {
        std::vector<pid_t> found;
        DIR* const proc = opendir("/proc");
        while (const dirent* entry = readdir(proc)) {
            const auto pid = parse_unsigned(entry->d_name);
            if (!pid) continue;
            const auto command = read_file("/proc/" + std::string(entry->d_name) + "/cmdline");
            const std::string wanted = std::string("--instance") + '\0' + name_ + '\0';
            if (command && command->find(wanted) != std::string::npos) found.push_back(pid_t(*pid));
        }
        closedir(proc);
        return found;
    }

    // The worker's pid once it answers in both VPCs.
    pid_t wait_for_worker(pid_t other_than = 0) {
        pid_t pid = 0;
        EXPECT_TRUE(eventually([&] {
            pid = pid_in(ask_udp(vpc(7)));
            return pid > 0 && pid != other_than && pid_in(ask_udp(vpc(8))) == pid;
        }));
        return pid;
    }

    std::string name_;
    Instance instance_;
    pid_t keeper_ = -1;
};

TEST_F(KeeperTest, the_same_address_in_two_vpcs_is_two_places) {
    const pid_t pid = wait_for_worker();
    EXPECT_EQ(ask_udp(vpc(7)), std::to_string(pid) + " 7");
    EXPECT_EQ(ask_udp(vpc(8)), std::to_string(pid) + " 8");
    for (const int vni : {7, 8}) {
        const std::string answer = inside(vpc(vni), [] { return reply_on(connected(SOCK_STREAM), 2s); });
        EXPECT_EQ(answer, std::to_string(pid) + " " + std::to_string(vni));
    }
}

TEST_F(KeeperTest, what_arrives_while_the_worker_is_dead_waits_for_the_next_one) {
    const pid_t first = wait_for_worker();
    const std::string inode = bound_inode(vpc(7));
    kill(first, SIGKILL);
    ASSERT_TRUE(eventually([&] { return status_field(first, "State").starts_with("Z") || kill(first, 0) != 0; }));

    const std::string datagram = ask_udp(vpc(7), 5s);
    EXPECT_NE(pid_in(datagram), 0);
    EXPECT_NE(pid_in(datagram), first);
    const std::string stream = inside(vpc(8), [] { return reply_on(connected(SOCK_STREAM), 5s); });
    EXPECT_EQ(pid_in(stream), pid_in(datagram));
    EXPECT_EQ(bound_inode(vpc(7)), inode);
}

TEST_F(KeeperTest, a_new_keeper_adopts_the_living_worker_and_binds_nothing) {
    const pid_t worker = wait_for_worker();
    const std::string inode = bound_inode(vpc(7));
    kill_and_wait(keeper_);
    EXPECT_EQ(pid_in(ask_udp(vpc(7))), worker);  // a dead keeper disturbs nothing

    start_keeper();
    // The new keeper answers requests: only then can a recreated VPC be served.
    quietly("ip netns del " + vpc(8));
    make_vpc(8);
    EXPECT_TRUE(eventually([&] { return pid_in(ask_udp(vpc(8), 200ms)) == worker; }));
    EXPECT_EQ(workers(), std::vector<pid_t>{worker});
    EXPECT_EQ(bound_inode(vpc(7)), inode);

    // And it has the listeners: they outlive the worker too.
    kill(worker, SIGKILL);
    const pid_t next = wait_for_worker(worker);
    EXPECT_NE(next, worker);
    EXPECT_EQ(bound_inode(vpc(7)), inode);
    EXPECT_EQ(workers(), std::vector<pid_t>{next});
}

TEST_F(KeeperTest, a_vpc_made_anew_gets_new_sockets_and_the_old_ones_are_let_go) {
    const pid_t worker = wait_for_worker();
    quietly("ip netns del " + vpc(7));
    make_vpc(7);
    EXPECT_TRUE(eventually([&] { return ask_udp(vpc(7), 200ms) == std::to_string(worker) + " 7"; }));
    EXPECT_EQ(ask_udp(vpc(8)), std::to_string(worker) + " 8");
}

TEST_F(KeeperTest, a_keeper_killed_at_any_moment_leaves_one_worker_to_the_next) {
    constexpr uint64_t seed = 20;
    Rng rng(seed);
    for (int round = 0; round < 15; ++round) {
        std::this_thread::sleep_for(std::chrono::microseconds(rng.below(40'000)));
        kill_and_wait(keeper_);
        const std::vector<pid_t> alive = workers();
        if (!alive.empty() && rng.below(2) == 0) kill(alive.front(), SIGKILL);
        start_keeper();
    }
    const pid_t worker = wait_for_worker();
    EXPECT_TRUE(eventually([&] { return workers() == std::vector<pid_t>{worker}; })) << "seed " << seed;
}

TEST_F(KeeperTest, nobody_holds_more_rights_than_it_needs) {
    const pid_t worker = wait_for_worker();
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
        EXPECT_EQ(status_field(worker, set), "0000000000000000") << set;
    }
    EXPECT_EQ(status_field(worker, "Seccomp"), "2");
    EXPECT_EQ(status_field(worker, "NoNewPrivs"), "1");
    for (const char* set : {"CapPrm", "CapEff", "CapBnd"})
        EXPECT_EQ(status_field(keeper_, set), "0000000000200000") << set;
    EXPECT_EQ(status_field(keeper_, "NoNewPrivs"), "1");
}

TEST_F(KeeperTest, a_second_keeper_of_the_same_node_is_refused) {
    wait_for_worker();
    int status = 0;
    waitpid(spawn_keeper(), &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 4);
    EXPECT_EQ(workers().size(), 1u);
}

}  // namespace
}  // namespace weft::keeper

int main(int argc, char** argv) {
    const std::string_view role = argc > 1 ? argv[1] : "";
    if (role == "dns") return weft::keeper::run_test_worker(role);
    if (role == "keeper" && argc > 2) return weft::keeper::run_test_keeper(argv[2], "/proc/self/exe");
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
