#include "controller/supply.h"

#include <fmt/format.h>

namespace weft::controller {
namespace {

constexpr std::string_view condition_type = "AddressesAvailable";

std::string roughly(Duration left) {
    const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(left).count();
    return minutes < 1 ? "less than a minute" : fmt::format("about {} min", minutes);
}

}  // namespace

bool wants_another_look(const kube::Object& vswitch) {
    return !vswitch.deleting() && kube::condition_is(vswitch, condition_type, "False");
}

void put_supply(World& world, const kube::Object& vswitch, const cloud::Counts& counts, kube::Object& next) {
    cloud::UseHistory& history = world.address_use[std::string(vswitch.name())];
    history.note(world.clock.now(), counts.total - counts.available);
    const auto left = history.time_left(world.clock.now(), counts.available);
    const json::Value* const shown = kube::find_condition(vswitch, condition_type);
    const bool was_low = shown != nullptr && json::find_string(*shown, {"status"}) == "False";
    cloud::Supply supply = cloud::judge_supply(counts.total, counts.available, left, was_low);
    // A controller that has just started knows no pace: what its predecessor said stands.
    if (supply == cloud::Supply::enough && was_low && !history.knows_pace(world.clock.now())) supply = cloud::Supply::low;
    if (supply == cloud::Supply::enough) {
        kube::set_condition(next, condition_type, true, "Enough", "", world.clock);
        return;
    }
    const bool is_dry = supply == cloud::Supply::exhausted;
    const std::string have = fmt::format("{} of {} addresses are left", counts.available, counts.total);
    std::string message = have;
    if (!is_dry && left) message += fmt::format("; at the pace of the last minutes for {}", roughly(*left));
    const std::string_view before = shown == nullptr ? "" : json::find_string(*shown, {"message"});
    if (!left && before.starts_with(have)) message = before;
    kube::set_condition(next, condition_type, false, is_dry ? "Exhausted" : "RunningLow", message, world.clock);
    const bool was_dry = was_low && json::find_string(*shown, {"reason"}) == "Exhausted";
    if (!was_low || (is_dry && !was_dry)) world.events.warning(vswitch, is_dry ? "VSwitchExhausted" : "VSwitchRunningLow", message);
}

}  // namespace weft::controller
