#include "cloud/forecast.h"

#include <algorithm>

namespace weft::cloud {

void UseHistory::note(MonotonicTime now, uint64_t used) {
    while (samples_.size() > 1 && now - samples_.front().at > window) samples_.pop_front();
    // Of a burst the last value counts, at the time of its first: a pace is never overstated by it.
    if (!samples_.empty() && now - samples_.back().at < sample_apart)
        samples_.back().used = used;
    else
        samples_.push_back({now, used});
}

std::optional<Duration> UseHistory::time_left(MonotonicTime now, uint64_t available) const {
    if (!knows_pace(now)) return std::nullopt;
    const Sample& first = samples_.front();
    const Sample& last = samples_.back();
    const Duration span = now - first.at;
    if (last.used <= first.used) return std::nullopt;
    const double per_ns = double(last.used - first.used) / double(span.count());
    const double left = double(available) / per_ns;
    return Duration(int64_t(std::min(left, double(INT64_MAX / 4))));
}

Supply judge_supply(uint64_t total, uint64_t available, std::optional<Duration> time_left, bool was_low) {
    if (available == 0) return Supply::exhausted;
    const uint64_t percent = total == 0 ? 0 : available * 100 / total;
    const bool is_low = percent < 10 || (time_left && *time_left < low_time);
    const bool stays_low = was_low && (percent < 15 || (time_left && *time_left < 2 * low_time));
    return is_low || stays_low ? Supply::low : Supply::enough;
}

}  // namespace weft::cloud
