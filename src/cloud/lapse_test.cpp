#include "cloud/lapse.h"

#include <gtest/gtest.h>

namespace weft::cloud {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

MonotonicTime at(Duration uptime) { return MonotonicTime(uptime); }

TEST(Lapse, goes_on_within_a_boot_whoever_looks_and_stands_still_while_no_clock_saw_it) {
    const Lapse begun = Lapse::begin(at(hours(5)), "boot-a");
    EXPECT_EQ(begun.at(at(hours(5)), "boot-a"), Duration{});
    const Lapse read = *Lapse::parse(begun.text());
    EXPECT_EQ(read.at(at(hours(5) + minutes(7)), "boot-a"), minutes(7));
    const Lapse noted = read.renewed(at(hours(6)), "boot-a");
    EXPECT_EQ(noted.at(at(hours(6)), "boot-a"), hours(1));
    EXPECT_EQ(noted.at(at(minutes(1)), "boot-b"), hours(1)) << "another boot's clock says nothing of this one's";
    EXPECT_EQ(noted.at(at(hours(900)), "boot-b"), hours(1));
    const Lapse moved = noted.renewed(at(minutes(1)), "boot-b");
    EXPECT_EQ(moved.at(at(minutes(31)), "boot-b"), hours(1) + minutes(30));
}

TEST(Lapse, is_renewed_every_hour_and_when_the_boot_is_another) {
    const Lapse begun = Lapse::begin(at(hours(5)), "boot-a");
    EXPECT_FALSE(begun.wants_renewal(at(hours(5) + minutes(59)), "boot-a"));
    EXPECT_TRUE(begun.wants_renewal(at(hours(6)), "boot-a"));
    EXPECT_TRUE(begun.wants_renewal(at(minutes(1)), "boot-b"));
}

TEST(Lapse, text_that_it_did_not_write_is_nothing) {
    for (const std::string_view text : {"", "1", "1 b", "1  2", "x b 2", "1 b x", "1 b 2 3", "-1 b 2",
                                        "99999999999999999999 b 2", "9223372036854775807 b 1"})
        EXPECT_FALSE(Lapse::parse(text)) << text;
}

}  // namespace
}  // namespace weft::cloud
