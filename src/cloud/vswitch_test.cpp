#include "cloud/vswitch.h"

#include <gtest/gtest.h>

namespace weft::cloud {
namespace {

VSwitch vswitch(const char* cidr, const char* ipv6, bool given) {
    VSwitch vswitch;
    vswitch.cidr = MUST(net::Prefix::parse(cidr));
    vswitch.ipv6_block = MUST(net::Prefix::parse(ipv6));
    vswitch.ipv6_given = given;
    return vswitch;
}

std::string ipv6_text(const VSwitch& vswitch, const char* v4) {
    const auto address = ipv6_of(vswitch, MUST(net::Address::parse(v4)));
    return address ? address->text() : "none";
}

TEST(VSwitch, an_ipv6_address_is_the_ipv4_addresss_place_in_the_vswitch) {
    const VSwitch given = vswitch("10.0.16.0/20", "fd00:10:0:3::/64", true);
    EXPECT_EQ(ipv6_text(given, "10.0.16.1"), "fd00:10:0:3::1");
    EXPECT_EQ(ipv6_text(given, "10.0.17.4"), "fd00:10:0:3::104");
    EXPECT_EQ(ipv6_text(given, "10.0.31.255"), "fd00:10:0:3::fff");
    EXPECT_EQ(ipv6_text(given, "10.0.32.1"), "none") << "not the vSwitch's";
    EXPECT_EQ(ipv6_text(given, "fd00:10:0:3::1"), "none");
}

TEST(VSwitch, a_block_that_is_only_asked_for_gives_no_address) {
    EXPECT_EQ(ipv6_text(vswitch("10.0.16.0/20", "fd00:10:0:3::/64", false), "10.0.16.1"), "none");
}

}  // namespace
}  // namespace weft::cloud
