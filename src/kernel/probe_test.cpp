#include "kernel/probe.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "kernel/link.h"

namespace weft::kernel {

TEST(Probe, a_kernel_that_runs_weft_passes_and_nothing_is_left) {
    ASSERT_EQ(geteuid(), 0u) << "needs root, as every test of this room does";
    const uint64_t before = MUST(MUST(Netns::current()).inode());
    const Status probed = probe_data_plane();
    EXPECT_TRUE(probed) << probed.error().message;
    EXPECT_EQ(MUST(MUST(Netns::current()).inode()), before) << "the probe's namespace is its own thread's";
    Netlink netlink = MUST(Netlink::open());
    EXPECT_FALSE(find_link(netlink, "probe0"));
}

TEST(Probe, a_new_namespace_has_no_firewall_tables) {
    ASSERT_EQ(geteuid(), 0u) << "needs root, as every test of this room does";
    const std::string name = "weft-probe-" + std::to_string(getpid());
    const Netns netns = MUST(Netns::create(name));
    EXPECT_EQ(MUST(list_firewall_tables(netns)), std::vector<std::string>{});
    MUST(Netns::remove(name));
}

}  // namespace weft::kernel
