#include "cloud/lapse.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace weft::cloud {
namespace {

using std::chrono::milliseconds;

int64_t in_ms(Duration duration) { return std::chrono::duration_cast<milliseconds>(duration).count(); }

constexpr uint64_t ms_max = uint64_t(INT64_MAX) / 1000000;  // what Duration holds

}  // namespace

std::optional<Lapse> Lapse::parse(std::string_view text) {
    const auto words = split(text, ' ');
    if (words.size() != 3 || words[1].empty()) return std::nullopt;
    const auto lasted = parse_unsigned(words[0]), noted = parse_unsigned(words[2]);
    if (!lasted || !noted || *lasted > ms_max / 2 || *noted > ms_max / 2) return std::nullopt;
    return Lapse{milliseconds(*lasted), std::string(words[1]), MonotonicTime(milliseconds(*noted))};
}

std::string Lapse::text() const {
    return fmt::format("{} {} {}", in_ms(lasted), boot, in_ms(noted.time_since_epoch()));
}

Duration Lapse::at(MonotonicTime now, std::string_view this_boot) const {
    return this_boot == boot && now > noted ? lasted + (now - noted) : lasted;
}

bool Lapse::wants_renewal(MonotonicTime now, std::string_view this_boot) const {
    return this_boot != boot || now - noted >= renewal_period;
}

Lapse Lapse::renewed(MonotonicTime now, std::string_view this_boot) const {
    return {at(now, this_boot), std::string(this_boot), now};
}

}  // namespace weft::cloud
