#include "cloud/forecast.h"

#include <gtest/gtest.h>

namespace weft::cloud {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

TEST(Forecast, the_pace_of_the_last_minutes_says_how_long_the_rest_lasts) {
    FakeClock clock;
    UseHistory history;
    EXPECT_EQ(history.time_left(clock.now(), 10), std::nullopt);
    history.note(clock.now(), 100);
    clock.advance(seconds(10));
    history.note(clock.now(), 110);
    EXPECT_EQ(history.time_left(clock.now(), 10), std::nullopt) << "too short a look";
    clock.advance(seconds(50));
    history.note(clock.now(), 160);  // one a second
    EXPECT_EQ(std::chrono::round<seconds>(*history.time_left(clock.now(), 30)), seconds(30));
    clock.advance(minutes(15));
    history.note(clock.now(), 160);
    clock.advance(seconds(40));
    history.note(clock.now(), 160);
    EXPECT_EQ(history.time_left(clock.now(), 30), std::nullopt) << "what is older than the window is forgotten";
}

TEST(Forecast, low_supply_is_said_early_and_taken_back_late) {
    struct Row {
        uint64_t available;
        std::optional<Duration> left;
        bool was_low;
        Supply supply;
    };

    const Row rows[] = {
        {252, {}, false, Supply::enough},
        {26, {}, false, Supply::enough},
        {25, {}, false, Supply::low},
        {26, {}, true, Supply::low},
        {38, {}, true, Supply::enough},
        {200, minutes(9), false, Supply::low},
        {200, minutes(11), false, Supply::enough},
        {200, minutes(11), true, Supply::low},
        {0, {}, false, Supply::exhausted},
    };
    for (const Row& row : rows)
        EXPECT_EQ(judge_supply(252, row.available, row.left, row.was_low), row.supply) << row.available;
}

}  // namespace
}  // namespace weft::cloud
