#include "agent/uplink_note.h"

#include <thread>

#include "kube/fake_client.h"

namespace weft::agent {
namespace {

struct Note : testing::Test {
    Note() { api.seed("{apiVersion: v1, kind: Node, metadata: {name: n1, annotations: {mine: stays}}}"); }

    kube::Object node() { return MUST(api.get(kube::nodes, {"", "n1"})); }

    std::string wait_for(std::string_view mtu) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (node().annotation("weft.dev/uplink-mtu") != mtu && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return std::string(node().annotation("weft.dev/uplink-mtu"));
    }

    kube::FakeClient api;
};

TEST_F(Note, is_written_once_and_again_only_when_it_differs) {
    UplinkNote note(api, "n1", 1500);
    note.look(node());
    EXPECT_EQ(wait_for("1500"), "1500");
    EXPECT_EQ(node().annotation("mine"), "stays");
    api.clear_log();
    note.look(node());
    kube::Object other = node();
    other.set_annotation("weft.dev/uplink-mtu", "9000");
    MUST(api.update(kube::nodes, other));
    note.look(node());
    EXPECT_EQ(wait_for("1500"), "1500");
    EXPECT_EQ(api.log().size(), 2u) << "the stranger's write and ours";
}

TEST_F(Note, is_written_as_soon_as_the_api_takes_it) {
    UplinkNote note(api, "n1", 9000);
    api.fail_next(Code::unavailable);
    note.look(node());
    EXPECT_EQ(wait_for("9000"), "9000");
}

}  // namespace
}  // namespace weft::agent
