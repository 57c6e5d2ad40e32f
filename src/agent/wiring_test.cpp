// A pod's link against the real kernel: what connect() and open() leave behind, and how little they ask for it. Requests and
// writes are counted, never time: bench/cni-add measures.
#include "agent/wiring.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>

#include "agent/interface_ipv6.h"
#include "base/instance.h"
#include "base/metrics.h"
#include "base/instance.h"
#include "kernel/link.h"
#include "kernel/ownership.h"
#include "kernel/route.h"
#include "kernel/sysctl.h"
#include "kernel/tc.h"

#include <gtest/gtest.h>

namespace weft::agent {
namespace {

using kernel::Netlink;
using kernel::Netns;

net::Address ip(const char* text) { return MUST(net::Address::parse(text)); }

// Stands for pod_egress: "return TC_ACT_OK".
kernel::Program smallest_program() {
    const bpf_insn instructions[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = 0},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
    };
    kernel::Program program;
    program.name = "weft_test";
    program.fd = Fd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, program.name.c_str(), "GPL", instructions,
                                  std::size(instructions), nullptr));
    ENSURE(bool(program.fd));
    bpf_prog_info info{};
    uint32_t bytes = sizeof(info);
    ENSURE(bpf_obj_get_info_by_fd(program.fd.get(), &info, &bytes) == 0);
    std::memcpy(program.tag.data(), info.tag, program.tag.size());
    return program;
}

uint64_t changes() { return metrics::counter("weft_netlink_changes_total").value(); }

size_t open_files() {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
}

// Two namespaces of this test only, removed at its end: a node and a pod.
class WiringInKernel : public testing::Test {
protected:
    WiringInKernel()
        : node_(MUST(Netns::create(name("node")))),
          pod_(MUST(Netns::create(name("pod")))),
          program_(smallest_program()),
          wiring_(MUST(node_.run([&] { return KernelWiring::create(program_); }))) {}

    ~WiringInKernel() override {
        (void)Netns::remove(name("node"));
        (void)Netns::remove(name("pod"));
    }

    std::string name(const char* what) const {
        return "weft-wt" + std::to_string(getpid()) + "-" + std::to_string(number_) + what;
    }

    Plug plug(bool with_ipv6) const {
        return {.netns = Instance::netns_path(name("pod")),
                .ifname = "eth0",
                .host_link = "wpod0123456789",
                .mac = kernel::endpoint_mac(7),
                .address = ip("10.0.1.7"),
                .ipv6 = with_ipv6 ? std::optional(ip("fd00:10::7")) : std::nullopt,
                .mtu = 1450};
    }

    static inline std::atomic<int> count_ = 0;
    const int number_ = ++count_;
    const Netns node_, pod_;
    const kernel::Program program_;
    const std::unique_ptr<KernelWiring> wiring_;
};

TEST_F(WiringInKernel, a_pod_of_either_family_is_connected_opened_and_then_as_it_should_be) {
    for (const bool with_ipv6 : {false, true}) {
        const Plug wanted = plug(with_ipv6);
        const Socket socket = MUST(wiring_->connect(wanted));
        Netlink outside = MUST(Netlink::open(node_));
        const kernel::Link link = MUST(kernel::find_link(outside, wanted.host_link));
        EXPECT_FALSE(link.up) << "rows come before the first packet";
        EXPECT_EQ(MUST(kernel::find_filter(outside, link.index, kernel::Direction::ingress)), std::nullopt);
        EXPECT_EQ(socket.ifindex, uint32_t(link.index));
        EXPECT_EQ(socket.netns_cookie, MUST(pod_.cookie()));
        EXPECT_EQ(wiring_->inspect(wanted).error().code, Code::conflict);

        MUST(wiring_->open(wanted));
        const auto seen = wiring_->inspect(wanted);
        ASSERT_TRUE(seen) << seen.error().message;
        EXPECT_EQ(seen->ifindex, socket.ifindex);
        EXPECT_EQ(seen->netns_cookie, socket.netns_cookie);
        EXPECT_EQ(MUST(kernel::get_sysctl(node_, "net/ipv6/conf/" + wanted.host_link + "/disable_ipv6")), "1");
        EXPECT_EQ(MUST(kernel::get_sysctl(pod_, "net/ipv6/conf/eth0/disable_ipv6")), with_ipv6 ? "0" : "1");
        if (with_ipv6) {
            EXPECT_EQ(MUST(kernel::get_sysctl(pod_, "net/ipv6/conf/eth0/accept_ra")), "0");
        }
        MUST(wiring_->disconnect(wanted.host_link));
        EXPECT_EQ(wiring_->inspect(wanted).error().code, Code::not_found);
    }
}

// Seven changes: the pair, the hook, the program, two ends up, an address, a route. Four writes: the pair, a look at it, and one
// for each namespace's rest. IPv6 adds an address and a route, and no write.
TEST_F(WiringInKernel, an_add_asks_the_kernel_for_nothing_twice) {
    for (const bool with_ipv6 : {false, true}) {
        const uint64_t changes_before = changes(), sends_before = Netlink::sends();
        MUST(wiring_->connect(plug(with_ipv6)));
        MUST(wiring_->open(plug(with_ipv6)));
        EXPECT_EQ(changes() - changes_before, with_ipv6 ? 9u : 7u);
        EXPECT_EQ(Netlink::sends() - sends_before, 4u);
        MUST(wiring_->disconnect(plug(with_ipv6).host_link));
        EXPECT_EQ(Netlink::sends() - sends_before, 5u) << "and to take it away is one";
    }
}

TEST_F(WiringInKernel, a_pair_that_somebody_else_made_is_looked_at_before_it_is_opened) {
    MUST(wiring_->connect(plug(true)));
    const auto restarted = MUST(node_.run([&] { return KernelWiring::create(program_); }));
    MUST(restarted->open(plug(true)));
    EXPECT_TRUE(restarted->inspect(plug(true)));
    const uint64_t before = changes();
    MUST(restarted->open(plug(true)));
    EXPECT_EQ(changes(), before) << "what is as it should be stays untouched";
    MUST(restarted->disconnect(plug(true).host_link));
}

TEST_F(WiringInKernel, an_add_that_failed_half_way_holds_nothing_of_the_pods_namespace) {
    MUST(wiring_->connect(plug(false)));
    MUST(wiring_->disconnect(plug(false).host_link));
    const size_t before = open_files();
    for (int i = 0; i < 3; ++i) {
        MUST(wiring_->connect(plug(false)));
        MUST(wiring_->disconnect(plug(false).host_link));
    }
    EXPECT_EQ(open_files(), before);
    EXPECT_EQ(wiring_->open(plug(false)).error().code, Code::not_found);
}

TEST_F(WiringInKernel, a_taken_name_and_a_missing_namespace_are_told_apart) {
    MUST(wiring_->connect(plug(false)));
    Plug other = plug(false);
    other.host_link = "wpod9876543210";
    EXPECT_EQ(wiring_->connect(other).error().code, Code::already_exists);
    other.netns += "-gone";
    EXPECT_EQ(wiring_->connect(other).error().code, Code::not_found);
    MUST(wiring_->disconnect(plug(false).host_link));
}

}  // namespace
}  // namespace weft::agent
