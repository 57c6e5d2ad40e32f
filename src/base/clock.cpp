#include "base/clock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "base/fd.h"

namespace weft {

namespace {
// A test may set our wall clocks: $WEFT_CLOCK_SHIFT names a file that holds a 64-bit number of seconds to add. The machine's
// own clock is everybody's, and time namespaces leave it alone.
const volatile int64_t* shift_of_tests() {
    static constexpr int64_t none = 0;
    const char* path = std::getenv("WEFT_CLOCK_SHIFT");
    const Fd file(path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC));
    void* shared = file ? ::mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, file.get(), 0) : MAP_FAILED;
    return shared == MAP_FAILED ? &none : static_cast<const volatile int64_t*>(shared);
}

class SystemClock : public Clock {
public:
    MonotonicTime now() const override {
        return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
    }

    WallTime wall() const override {
        return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()) + std::chrono::seconds(*shift_);
    }

private:
    const volatile int64_t* const shift_ = shift_of_tests();
};
}  // namespace

const Clock& system_clock() {
    static const SystemClock clock;
    return clock;
}

static std::string date_and_time(WallTime time, long& nanoseconds) {
    const int64_t total = time.time_since_epoch().count();
    int64_t seconds = total / 1000000000;
    nanoseconds = long(total % 1000000000);
    if (nanoseconds < 0) {
        nanoseconds += 1000000000;
        seconds -= 1;
    }
    const time_t stamp = seconds;
    tm parts{};
    gmtime_r(&stamp, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                       parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string rfc3339(WallTime time) {
    long nanoseconds = 0;
    return date_and_time(time, nanoseconds) + "Z";
}

std::string rfc3339_micro(WallTime time) {
    long nanoseconds = 0;
    std::string text = date_and_time(time, nanoseconds);
    return fmt::format("{}.{:06}Z", text, nanoseconds / 1000);
}

bool parse_rfc3339(const std::string& text, WallTime& out) {
    tm parts{};
    int read = 0;
    if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &parts.tm_hour,
                    &parts.tm_min, &parts.tm_sec, &read) != 6)
        return false;
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    int64_t nanoseconds = 0;
    size_t at = size_t(read);
    if (at < text.size() && text[at] == '.') {
        int64_t unit = 100000000;
        for (at += 1; at < text.size() && text[at] >= '0' && text[at] <= '9'; at++, unit /= 10)
            nanoseconds += (text[at] - '0') * unit;
    }
    int64_t offset_s = 0;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
        int hours = 0;
        int minutes = 0;
        if (std::sscanf(text.c_str() + at + 1, "%2d:%2d", &hours, &minutes) != 2) return false;
        offset_s = (hours * 3600 + minutes * 60) * (text[at] == '-' ? -1 : 1);
    } else if (at + 1 != text.size() || text[at] != 'Z') {
        return false;
    }
    out = WallTime(std::chrono::seconds(int64_t(timegm(&parts)) - offset_s) + std::chrono::nanoseconds(nanoseconds));
    return true;
}

}  // namespace weft
