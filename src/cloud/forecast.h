// Forecast: will a vSwitch run dry soon? By what is left, and by the pace of the last minutes.
//
// Low below one part in ten, or when the pace empties it within low_time; no longer low above 15 %, and at a pace that
// leaves twice that time: so the answer does not flap. Pure: time is handed in. Threads: values only.
// Source: design.md §6; docs/design/addresses.md.
#pragma once
#include <deque>
#include <optional>

#include "base/clock.h"

namespace weft::cloud {

class UseHistory {
public:
    static constexpr Duration window = std::chrono::minutes(10);
    static constexpr Duration sample_apart = std::chrono::seconds(10);
    static constexpr Duration span_min = std::chrono::seconds(30);  // a shorter look says nothing about a pace

    void note(MonotonicTime now, uint64_t used);
    // Has it looked for long enough?
    bool knows_pace(MonotonicTime now) const { return !samples_.empty() && now - samples_.front().at >= span_min; }
    // Until `available` more are taken, if it goes on as in the window; nothing when use does not grow.
    std::optional<Duration> time_left(MonotonicTime now, uint64_t available) const;

private:
    struct Sample {
        MonotonicTime at;
        uint64_t used;
    };

    std::deque<Sample> samples_;
};

enum class Supply : uint8_t { enough, low, exhausted };

inline constexpr Duration low_time = std::chrono::minutes(10);
Supply judge_supply(uint64_t total, uint64_t available, std::optional<Duration> time_left, bool was_low);

}  // namespace weft::cloud
