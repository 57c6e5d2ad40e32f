#include "protocol/runtime.h"

#include <gtest/gtest.h>

namespace weft::protocol::runtime {
namespace {

TEST(RuntimeProtocol, AnOrderSurvivesTheWire) {
    Order order;
    order.kind = Order::Kind::start;
    order.launch = {.container = "main",
                    .attempt = 3,
                    .argv = {"/bin/sh", "-c", "echo \"hi\"\n"},
                    .environment = {"A=b c"},
                    .working_dir = "/tmp",
                    .root = "/img",
                    .hostname = "web-0",
                    .cgroup = "/sys/fs/cgroup/x",
                    .log_file = "/l",
                    .mounts = {{"/a", "/etc/resolv.conf"}},
                    .uid = 7,
                    .gid = 8};
    const Result<Order> back = decode_order(encode(order));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->launch, order.launch);
    EXPECT_EQ(decode_order(encode(Order{Order::Kind::signal, {}, "main", 15}))->signal, 15);
    EXPECT_EQ(decode_order(encode(Order{}))->kind, Order::Kind::quit);
}

TEST(RuntimeProtocol, AReportSurvivesTheWire) {
    const Report report{"main", 2, false, 0, 0, 137, 9, "", "2026-11-25T00:00:00Z", "2026-11-25T00:00:01Z"};
    EXPECT_EQ(*decode_report(encode(report)), report);
}

TEST(RuntimeProtocol, GarbageIsRefusedByField) {
    for (const std::string_view bad : {"", "[]", "{", "{}", R"({"order":"dance"})", R"({"order":"start"})",
                                       R"({"order":"start","launch":{"container":"a","argv":[]}})",
                                       R"({"order":"signal","container":"a","signal":0})"})
        EXPECT_FALSE(decode_order(bad)) << bad;
    EXPECT_FALSE(decode_report("{}"));
}

}  // namespace
}  // namespace weft::protocol::runtime
