#include "agent/addresses.h"

#include <unistd.h>

namespace weft::agent {
namespace {

net::Address ip(const char* text) { return MUST(net::Address::parse(text)); }

net::Prefix prefix(const char* text) { return MUST(net::Prefix::parse(text)); }

struct Scene {
    Scene() : path("/tmp/weft-agent-addr-" + std::to_string(getpid())), log(MUST(AllocationLog::open(path, "b"))) {}

    ~Scene() { ::unlink(path.c_str()); }

    void take(const char* container, const char* address, const char* vpc = "vpc-a") {
        Allocation a;
        a.key = {container, "eth0"};
        a.vpc = vpc;
        a.pod_namespace = "default";
        a.pod_name = container;
        a.pod_uid = std::string("uid-") + container;
        a.address = ip(address);
        a.endpoint_id = 1;
        MUST(log.reserve(a));
    }

    std::string path;
    AllocationLog log;
    cloud::VSwitch vswitch{.name = "vsw-a", .created = "", .vpc = "vpc-a", .zone = "", .cidr = prefix("10.0.1.0/24")};
    Block first{"vsw-a-10-0-1-0", "vpc-a", "vsw-a", prefix("10.0.1.0/28")};
    Block second{"vsw-a-10-0-1-16", "vpc-a", "vsw-a", prefix("10.0.1.16/28")};
};

TEST(Addresses, the_lowest_free_one_of_the_vswitch_is_chosen_whatever_the_order_of_blocks) {
    Scene scene;
    EXPECT_EQ(choose_address({scene.second, scene.first}, scene.vswitch, scene.log, 0)->address, ip("10.0.1.1"));
    scene.take("a", "10.0.1.1");
    scene.take("other", "10.0.1.2", "vpc-b");  // another VPC's: the same address is free here
    const auto choice = choose_address({scene.second, scene.first}, scene.vswitch, scene.log, 0);
    EXPECT_EQ(choice->address, ip("10.0.1.2"));
    EXPECT_EQ(choice->block, "vsw-a-10-0-1-0");
}

TEST(Addresses, a_freed_one_rests_before_it_is_given_again) {
    Scene scene;
    scene.take("a", "10.0.1.1");
    MUST(scene.log.release({"a", "eth0"}, 100));
    EXPECT_EQ(choose_address({scene.first}, scene.vswitch, scene.log, 100 + cool_down_s - 1)->address, ip("10.0.1.2"));
    EXPECT_EQ(choose_address({scene.first}, scene.vswitch, scene.log, 100 + cool_down_s)->address, ip("10.0.1.1"));
}

TEST(Addresses, none_comes_from_another_vswitch_a_leaving_block_or_the_reserved_ends) {
    Scene scene;
    scene.first.deleting = true;
    EXPECT_FALSE(choose_address({scene.first}, scene.vswitch, scene.log, 0).has_value());
    scene.second.vswitch = "vsw-b";
    EXPECT_FALSE(choose_address({scene.second}, scene.vswitch, scene.log, 0).has_value());
    const Block last{"vsw-a-10-0-1-240", "vpc-a", "vsw-a", prefix("10.0.1.240/28")};
    for (int i = 0; i < 13; ++i) {
        const auto choice = choose_address({last}, scene.vswitch, scene.log, 0);
        ASSERT_TRUE(choice.has_value()) << i;
        scene.take(("p" + std::to_string(i)).c_str(), choice->address.text().c_str());
    }
    EXPECT_FALSE(choose_address({last}, scene.vswitch, scene.log, 0).has_value()) << "the last three stay free";
}

TEST(Addresses, a_blocks_status_says_who_has_what_and_what_rests) {
    Scene scene;
    scene.take("b", "10.0.1.2");
    scene.take("a", "10.0.1.1");
    scene.take("c", "10.0.1.3");
    MUST(scene.log.release({"c", "eth0"}, 100));
    const WallTime now(std::chrono::seconds(1764000000));
    const json::Value status = desired_block_status(scene.first, &scene.vswitch, scene.log, 110, now);
    EXPECT_EQ(json::find_int(status, {"used"}), 2);
    EXPECT_EQ(json::find_int(status, {"free"}), 12);  // 16 - 1 reserved - 2 - 1 resting
    EXPECT_EQ(json::find_string((*json::find_array(status, {"allocations"}))[0], {"name"}), "a");
    EXPECT_EQ(json::find_string((*json::find_array(status, {"cooling"}))[0], {"until"}),
              rfc3339(now + std::chrono::seconds(20)));
    // A second later by one clock and not yet by the other: no new write.
    const json::Value again = desired_block_status(scene.first, &scene.vswitch, scene.log, 110,
                                                   now + std::chrono::milliseconds(1100), &status);
    EXPECT_EQ(again, status);
}

TEST(Addresses, a_blocks_errors_name_the_field) {
    const auto parse = [](const char* text) { return parse_block(json::parse(text).value()); };
    EXPECT_NE(parse(R"({"spec":{"vpc":"v","vSwitch":"s","cidr":"x"}})").error().message.find("spec.cidr"),
              std::string::npos);
    EXPECT_NE(parse(R"({"spec":{"vSwitch":"s","cidr":"10.0.0.0/28"}})").error().message.find("spec.vpc"),
              std::string::npos);
    EXPECT_NE(parse(R"({"spec":{"vpc":"v","cidr":"10.0.0.0/28"}})").error().message.find("spec.vSwitch"),
              std::string::npos);
}

}  // namespace
}  // namespace weft::agent
