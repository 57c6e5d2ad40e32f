// Clock: time is handed in, so that a test can hold it. Lease and timeout logic uses monotonic time only; wall time
// is for what a person or another machine reads (creationTimestamp, certificates). Threads: any.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace weft {

using Duration = std::chrono::nanoseconds;
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

class Clock {
public:
    virtual ~Clock() = default;
    virtual MonotonicTime now() const = 0;
    virtual WallTime wall() const = 0;
};

const Clock& system_clock();

class FakeClock : public Clock {
public:
    MonotonicTime now() const override { return MonotonicTime(elapsed_ + std::chrono::seconds(1000)); }

    WallTime wall() const override { return WallTime(std::chrono::seconds(1764000000) + elapsed_); }

    void advance(Duration by) { elapsed_ += by; }

private:
    Duration elapsed_{};
};

// RFC 3339, UTC. rfc3339: whole seconds ("2026-11-24T00:00:00Z"); rfc3339_micro: six digits (Lease, Event).
std::string rfc3339(WallTime time);
std::string rfc3339_micro(WallTime time);
// Accepts both; nullopt-like: epoch 0 on garbage is never returned silently — see has_value.
bool parse_rfc3339(const std::string& text, WallTime& out);

}  // namespace weft
