#include "controller/ordinals.h"

#include <algorithm>
#include <map>

#include "base/strings.h"

namespace weft::controller {
namespace {

constexpr size_t burst_max = 50;  // pods made or ended at one look; the rest at the next

class Planner {
public:
    Planner(const OrdinalSettings& settings, const std::vector<OrdinalPod>& pods) : settings_(settings) {
        for (const OrdinalPod& pod : pods) by_ordinal_[pod.ordinal] = pod;
    }

    OrdinalStep plan() {
        if (fill() && shrink()) update();
        return std::move(step_);
    }

private:
    // These return whether the next phase may follow.
    bool fill() {
        bool all_made = true;
        for (int64_t ordinal = settings_.start; ordinal < settings_.end(); ++ordinal) {
            if (step_.makes.size() + step_.ends.size() >= burst_max) return false;
            const auto found = by_ordinal_.find(ordinal);
            if (found == by_ordinal_.end()) {
                const bool keeps_current = !settings_.on_delete && ordinal < settings_.start + settings_.partition;
                step_.makes.push_back({ordinal, !keeps_current});
                all_made = false;
            } else if (found->second.is_terminal && !found->second.is_deleting) {
                step_.ends.push_back(ordinal);
                all_made = false;
            } else if (found->second.is_available && !found->second.is_deleting) {
                continue;
            }
            if (!settings_.parallel) return false;
        }
        return all_made;
    }

    bool shrink() {
        const OrdinalPod* unhealthy = nullptr;  // the lowest of the surplus; it may go, others wait for it
        std::vector<const OrdinalPod*> surplus;
        for (const auto& [ordinal, pod] : by_ordinal_) {
            if (ordinal >= settings_.start && ordinal < settings_.end()) continue;
            surplus.push_back(&pod);
            if (unhealthy == nullptr && !pod.is_available && !pod.is_deleting) unhealthy = &pod;
        }
        std::reverse(surplus.begin(), surplus.end());
        for (const OrdinalPod* const pod : surplus) {
            if (step_.ends.size() >= burst_max) return false;
            if (pod->is_deleting && settings_.parallel) continue;
            if (pod->is_deleting) return false;
            if (!settings_.parallel && !pod->is_available && pod != unhealthy) return false;
            step_.ends.push_back(pod->ordinal);
            if (!settings_.parallel) return false;
        }
        return settings_.parallel || surplus.empty();
    }

    void update() {
        if (settings_.on_delete) return;
        const int64_t first = settings_.start + settings_.partition;
        int64_t room = settings_.unavailable_max;
        for (const auto& [ordinal, pod] : by_ordinal_) {
            const bool is_ours = ordinal >= first && ordinal < settings_.end();
            if (is_ours && (pod.is_deleting || (pod.is_updated && !pod.is_available))) --room;
        }
        for (int64_t ordinal = settings_.end() - 1; ordinal >= first && room > 0; --ordinal) {
            const auto found = by_ordinal_.find(ordinal);
            if (found == by_ordinal_.end()) return;
            if (found->second.is_updated || found->second.is_deleting) continue;
            step_.ends.push_back(ordinal);
            --room;
        }
    }

    const OrdinalSettings& settings_;
    std::map<int64_t, OrdinalPod> by_ordinal_;
    OrdinalStep step_;
};

}  // namespace

// A number, or a share of the replicas, rounded down; at least one.
static int64_t unavailable_max(const json::Value* wish, int64_t replicas) {
    if (wish == nullptr) return 1;
    if (wish->is_int64()) return std::max<int64_t>(1, wish->get_int64());
    if (!wish->is_string() || !json::view(wish->get_string()).ends_with('%')) return 1;
    std::string_view share = json::view(wish->get_string());
    share.remove_suffix(1);
    return std::max<int64_t>(1, replicas * int64_t(std::min<uint64_t>(100, parse_unsigned(share).value_or(0))) / 100);
}

OrdinalSettings ordinal_settings(const json::Value& set) {
    OrdinalSettings settings;
    settings.replicas = std::max<int64_t>(0, json::find_int(set, {"spec", "replicas"}, 1));
    settings.start = std::max<int64_t>(0, json::find_int(set, {"spec", "ordinals", "start"}));
    settings.parallel = json::find_string(set, {"spec", "podManagementPolicy"}) == "Parallel";
    settings.on_delete = json::find_string(set, {"spec", "updateStrategy", "type"}) == "OnDelete";
    settings.partition =
        std::max<int64_t>(0, json::find_int(set, {"spec", "updateStrategy", "rollingUpdate", "partition"}));
    settings.unavailable_max = unavailable_max(
        json::find(set, {"spec", "updateStrategy", "rollingUpdate", "maxUnavailable"}), settings.replicas);
    return settings;
}

OrdinalStep next_step(const OrdinalSettings& settings, std::vector<OrdinalPod> pods) {
    return Planner(settings, pods).plan();
}

std::optional<int64_t> ordinal_of(std::string_view set, std::string_view pod) {
    if (!pod.starts_with(set) || pod.size() < set.size() + 2 || pod[set.size()] != '-') return std::nullopt;
    const std::string_view digits = pod.substr(set.size() + 1);
    if (digits.size() > 9 || (digits.size() > 1 && digits[0] == '0')) return std::nullopt;
    const auto number = parse_unsigned(digits);
    return number ? std::optional(int64_t(*number)) : std::nullopt;
}

}  // namespace weft::controller
