#include "controller/rollout.h"

#include <algorithm>

#include "base/strings.h"

namespace weft::controller {
namespace {

constexpr std::string_view hash_label = "pod-template-hash";
constexpr std::string_view hash_alphabet = "bcdfghjklmnpqrstvwxz2456789";  // API-32: no words by accident

int64_t number_or_percent(const json::Value* value, int64_t of, bool round_up, int64_t otherwise) {
    if (value == nullptr) return otherwise;
    if (value->is_int64()) return std::max<int64_t>(0, value->get_int64());
    if (value->is_uint64()) return int64_t(value->get_uint64());
    if (!value->is_string()) return otherwise;
    std::string_view text = json::view(value->get_string());
    if (!text.ends_with('%')) return int64_t(parse_unsigned(text).value_or(uint64_t(otherwise)));
    text.remove_suffix(1);
    const int64_t percent = int64_t(parse_unsigned(text).value_or(25));
    return round_up ? (percent * of + 99) / 100 : percent * of / 100;
}

// Members sorted, so that two spellings of one template read the same.
void write_canonical(const json::Value& value, std::string& out) {
    if (const auto* const object = value.if_object()) {
        std::vector<std::string_view> names;
        for (const auto& member : *object) names.emplace_back(member.key().data(), member.key().size());
        std::sort(names.begin(), names.end());
        out += '{';
        for (const std::string_view name : names) {
            if (name == hash_label) continue;
            out += name;
            out += ':';
            write_canonical(object->at(name), out);
            out += ',';
        }
        out += '}';
    } else if (const auto* const array = value.if_array()) {
        out += '[';
        for (const json::Value& item : *array) {
            write_canonical(item, out);
            out += ',';
        }
        out += ']';
    } else {
        out += json::serialize(value);
    }
}

std::string canonical(const json::Value& value) {
    std::string text;
    write_canonical(value, text);
    return text;
}

int64_t sum(const std::vector<ReplicaSetState>& sets, int64_t ReplicaSetState::* member) {
    int64_t total = 0;
    for (const ReplicaSetState& set : sets) total += set.*member;
    return total;
}

int64_t grown(const RolloutSettings& settings, int64_t current_wanted, int64_t all_wanted) {
    const int64_t room = settings.replicas + settings.max_surge - all_wanted;
    return current_wanted + std::clamp<int64_t>(room, 0, std::max<int64_t>(0, settings.replicas - current_wanted));
}

// Takes up to `budget` pods away, oldest sets first; of each first those that do not serve anyway.
class Shrinker {
public:
    explicit Shrinker(std::vector<ReplicaSetState> old) : old_(std::move(old)) {
        std::sort(old_.begin(), old_.end(), [](const auto& a, const auto& b) {
            return std::tie(a.created, a.name) < std::tie(b.created, b.name);
        });
        for (const ReplicaSetState& set : old_) wanted_.push_back(set.wanted);
    }

    void drop_unavailable(int64_t& budget) {
        for (size_t i = 0; i < old_.size(); ++i) {
            const int64_t n = std::min({budget, wanted_[i], std::max<int64_t>(0, old_[i].wanted - old_[i].available)});
            wanted_[i] -= n;
            budget -= n;
        }
    }

    void drop_any(int64_t budget) {
        for (size_t i = 0; i < old_.size() && budget > 0; ++i) {
            const int64_t n = std::min(budget, wanted_[i]);
            wanted_[i] -= n;
            budget -= n;
        }
    }

    void add_changes(std::vector<Scale>& scales) const {
        for (size_t i = 0; i < old_.size(); ++i) {
            if (wanted_[i] != old_[i].wanted) scales.push_back({old_[i].name, wanted_[i]});
        }
    }

private:
    std::vector<ReplicaSetState> old_;
    std::vector<int64_t> wanted_;
};

}  // namespace

RolloutSettings rollout_settings(const json::Value& deployment) {
    RolloutSettings settings;
    settings.replicas = std::max<int64_t>(0, json::find_int(deployment, {"spec", "replicas"}, 1));
    settings.recreate = json::find_string(deployment, {"spec", "strategy", "type"}) == "Recreate";
    const int64_t n = settings.replicas;
    const json::Value* const surge = json::find(deployment, {"spec", "strategy", "rollingUpdate", "maxSurge"});
    const json::Value* const unavailable =
        json::find(deployment, {"spec", "strategy", "rollingUpdate", "maxUnavailable"});
    settings.max_surge = number_or_percent(surge, n, true, (n + 3) / 4);
    settings.max_unavailable = number_or_percent(unavailable, n, false, n / 4);
    if (settings.max_surge == 0 && settings.max_unavailable == 0)
        settings.max_unavailable = 1;  // else it could never move
    return settings;
}

int64_t first_replicas(const RolloutSettings& settings, const std::vector<ReplicaSetState>& old) {
    if (settings.recreate) return sum(old, &ReplicaSetState::existing) == 0 ? settings.replicas : 0;
    return grown(settings, 0, sum(old, &ReplicaSetState::wanted));
}

std::vector<Scale> next_scales(const RolloutSettings& settings, const ReplicaSetState& current,
                               const std::vector<ReplicaSetState>& old) {
    std::vector<Scale> scales;
    const int64_t old_wanted = sum(old, &ReplicaSetState::wanted);
    if (settings.recreate) {
        Shrinker shrinker(old);
        shrinker.drop_any(old_wanted);
        shrinker.add_changes(scales);
        const bool all_gone = sum(old, &ReplicaSetState::existing) == 0 && old_wanted == 0;
        if (all_gone && current.wanted != settings.replicas) scales.push_back({current.name, settings.replicas});
        return scales;
    }
    const int64_t next = current.wanted > settings.replicas
                             ? settings.replicas
                             : grown(settings, current.wanted, current.wanted + old_wanted);
    if (next != current.wanted) scales.push_back({current.name, next});

    // What may go: everything above the floor that is not only promised by the new set.
    const int64_t floor = settings.replicas - settings.max_unavailable;
    const int64_t promised = next - std::min(next, current.available);
    int64_t budget = std::min(next + old_wanted - floor - promised, old_wanted);
    if (budget <= 0) return scales;
    Shrinker shrinker(old);
    shrinker.drop_unavailable(budget);
    const int64_t available = current.available + sum(old, &ReplicaSetState::available);
    shrinker.drop_any(std::min(budget, std::max<int64_t>(0, available - floor)));
    shrinker.add_changes(scales);
    return scales;
}

bool same_template(const json::Value& a, const json::Value& b) { return canonical(a) == canonical(b); }

std::string template_hash(const json::Value& pod_template, int64_t collision_count) {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    std::string text = canonical(pod_template);
    if (collision_count > 0) text += std::to_string(collision_count);
    for (const char c : text) hash = (hash ^ uint8_t(c)) * 0x100000001b3;
    std::string out;
    for (int i = 0; i < 10; ++i) {
        out += hash_alphabet[hash % hash_alphabet.size()];
        hash /= hash_alphabet.size();
    }
    return out;
}

}  // namespace weft::controller
