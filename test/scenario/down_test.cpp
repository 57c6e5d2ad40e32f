// `down` leaves nothing: no process, namespace, mount, cgroup, path, and no BPF map, program or link by id; also after every
// process was killed in the middle of `up`. The store stays until --purge.
#include <signal.h>

#include <filesystem>
#include <thread>

#include "base/clock.h"
#include "kernel/cgroup.h"
#include "standalone/down.h"
#include "support/world.h"

#include <gtest/gtest.h>

namespace weft::test {

TEST(Down, ends_everything_and_keeps_the_store_until_purged) {
    World world;
    ASSERT_EQ(world.up("", false), "");
    ASSERT_TRUE(world.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept}\ndata: {a: b}\n").ok());
    const standalone::BpfIds ids = MUST(standalone::bpf_ids_of(world.instance()));
    EXPECT_FALSE(ids.maps.empty());
    EXPECT_FALSE(ids.programs.empty());

    ASSERT_EQ(world.down(false), "");
    const standalone::BpfIds there = standalone::still_there(ids);
    EXPECT_TRUE(there.maps.empty());
    EXPECT_TRUE(there.programs.empty());
    EXPECT_TRUE(there.links.empty());
    EXPECT_EQ(standalone::leftovers(world.instance(), false), std::vector<std::string>{});

    ASSERT_EQ(world.up("", false), "");
    EXPECT_EQ(world.field("configmap kept", "{.data.a}"), "b");
    ASSERT_EQ(world.down(true), "");
    EXPECT_EQ(standalone::leftovers(world.instance(), true), std::vector<std::string>{});
    EXPECT_FALSE(std::filesystem::exists(world.instance().state_dir()));
}

TEST(Down, cleans_up_after_every_process_was_killed_in_the_middle_of_up) {
    for (const int after_ms : {5, 50, 200, 500, 900}) {
        World world;
        std::string said;
        std::thread upping([&] { said = world.weft("up --instance " + world.instance().name(), 60).text; });
        std::this_thread::sleep_for(std::chrono::milliseconds(after_ms));  // the point of the test: any moment will do
        const std::string cgroup2 = MUST(kernel::find_cgroup2());
        // `up` itself is not in the cgroup: found by its exact command line, which names this test's own instance.
        run("for p in $(pgrep -f 'weft up --instance " + world.instance().name() + "$'); do kill -9 $p; done");
        MUST(kernel::kill_cgroup(cgroup2, world.instance().cgroup()));
        upping.join();
        const Output down = world.weft("down --purge --instance " + world.instance().name());
        EXPECT_TRUE(down.ok()) << "killed after " << after_ms << " ms: " << down.text;
        EXPECT_EQ(standalone::leftovers(world.instance(), true), std::vector<std::string>{}) << "killed after " << after_ms << " ms";
    }
}

// deploy/systemd under a systemd of its own, in namespaces: start, watch, reload, restart, stop.
TEST(Units, a_systemd_starts_watches_restarts_and_ends_an_instance) {
    const Output output = run(root() + "/test/systemd/run " + WEFT_BIN, 180);
    EXPECT_EQ(output.status, 0) << output.text;
    EXPECT_NE(output.text.find("result 0"), std::string::npos) << output.text;
}

}  // namespace weft::test

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
