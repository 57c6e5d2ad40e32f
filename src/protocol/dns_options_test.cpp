#include "protocol/dns_options.h"

#include <gtest/gtest.h>

namespace weft::protocol {
namespace {

TEST(DnsOptions, DNS_14_a_time_to_live_out_of_range_is_refused) {
    for (const unsigned good : {0u, 5u, DnsOptions::ttl_max_s}) EXPECT_TRUE((DnsOptions{.ttl_s = good}.check())) << good;
    const Status refused = DnsOptions{.ttl_s = DnsOptions::ttl_max_s + 1}.check();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "--dns-ttl: must be 0 to 3600 seconds");
    EXPECT_FALSE((DnsOptions{.policy = "fastest"}.check()));
}

TEST(DnsOptions, what_is_handed_down_is_what_was_chosen) {
    EXPECT_TRUE(DnsOptions{}.arguments().empty());
    const DnsOptions chosen{.upstream = "10.0.0.2:53,10.0.0.3", .policy = "random", .ttl_s = 30, .answers_per_second = 0};
    EXPECT_EQ(chosen.arguments(),
              (std::vector<std::string>{"--dns-upstream", "10.0.0.2:53,10.0.0.3", "--dns-policy", "random", "--dns-ttl",
                                        "30", "--dns-rate-limit", "0"}));
    EXPECT_EQ(DnsOptions::parse(chosen.text()), chosen);
    EXPECT_EQ(DnsOptions::parse(""), DnsOptions{});
    EXPECT_EQ(DnsOptions::parse("--dns-ttl\nmany\n--other\nx\n"), DnsOptions{});
}

}  // namespace
}  // namespace weft::protocol
