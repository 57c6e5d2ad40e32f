#include "net/address.h"

#include <gtest/gtest.h>

namespace weft::net {

TEST(Address, parses_and_prints_both_families) {
    for (const char* text : {"10.0.1.7", "0.0.0.0", "255.255.255.255", "::", "::1", "fd00::1:2", "2001:db8::5"})
        EXPECT_EQ(MUST(Address::parse(text)).text(), text);
    for (const char* bad : {"", "10.0.1", "10.0.1.07", "10.0.1.256", "::ffff:10.0.0.1", "fe80::1%eth0", "x", "1::2::3"})
        EXPECT_FALSE(Address::parse(bad)) << bad;
}

TEST(Address, counts_upwards_and_names_its_reverse_zone) {
    EXPECT_EQ(MUST(Address::parse("10.0.0.255")).plus(2).text(), "10.0.1.1");
    EXPECT_EQ(MUST(Address::parse("10.0.1.7")).reverse_name(), "7.1.0.10.in-addr.arpa");
    EXPECT_TRUE(MUST(Address::parse("2001:db8::1")).reverse_name().starts_with("1.0.0.0.0.0.0.0."));
    EXPECT_TRUE(Address::v4(0).is_unspecified());
}

TEST(Prefix, contains_overlaps_and_counts) {
    const Prefix p = MUST(Prefix::parse("10.0.1.0/24"));
    EXPECT_EQ(p.text(), "10.0.1.0/24");
    EXPECT_EQ(p.size(), 256u);
    EXPECT_EQ(p.length(), 24u);
    EXPECT_TRUE(p.contains(Address::v4(10, 0, 1, 255)));
    EXPECT_FALSE(p.contains(Address::v4(10, 0, 2, 0)));
    EXPECT_TRUE(p.overlaps(MUST(Prefix::parse("10.0.0.0/16"))));
    EXPECT_FALSE(p.overlaps(MUST(Prefix::parse("10.0.2.0/24"))));
    EXPECT_EQ(MUST(Prefix::parse("2001:db8::/56")).text(), "2001:db8::/56");
    EXPECT_EQ(Prefix::of(Address::v4(10, 0, 1, 77), 28).text(), "10.0.1.64/28");
    for (const char* bad : {"", "10.0.1.0", "10.0.1.1/24", "10.0.1.0/33", "10.0.1.0/", "10.0.1.0/024", "::/129"})
        EXPECT_FALSE(Prefix::parse(bad)) << bad;
}

TEST(Mac, round_trips) {
    EXPECT_EQ(MUST(Mac::parse("02:00:5e:00:01:ff")).text(), "02:00:5e:00:01:ff");
    for (const char* bad : {"", "02:00:5e:00:01", "02:00:5e:00:01:f", "02:00:5e:00:01:gg"}) EXPECT_FALSE(Mac::parse(bad)) << bad;
}

}  // namespace weft::net
