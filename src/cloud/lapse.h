// Lapse: for how long something has lasted, by monotonic clocks alone: a wall clock that is set an hour on or back ends
// nothing early and keeps nothing for ever. Kept as text beside the thing it is about: "LASTED BOOT NOTED", both in ms.
//
//   the boot that noted it   lasted, and what its clock has counted since, whichever process looks
//   another boot             lasted: what no clock of ours saw does not count. Renewed, it goes on from there
//
// Renewing it every renewal_period bounds what a reboot, or another machine's controller, forgets. Pure: time is handed
// in. Threads: values only.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace weft::cloud {

struct Lapse {
    static constexpr Duration renewal_period = std::chrono::hours(1);

    Duration lasted{};      // when it was noted
    std::string boot;       // of the machine that noted it
    MonotonicTime noted{};  // by that boot's clock

    static Lapse begin(MonotonicTime now, std::string_view boot) { return {Duration{}, std::string(boot), now}; }

    static std::optional<Lapse> parse(std::string_view text);
    std::string text() const;

    Duration at(MonotonicTime now, std::string_view this_boot) const;
    bool wants_renewal(MonotonicTime now, std::string_view this_boot) const;
    Lapse renewed(MonotonicTime now, std::string_view this_boot) const;
};

}  // namespace weft::cloud
