#include "controller/vni.h"

#include <set>

#include <fmt/format.h>

#include "base/log.h"
#include "base/strings.h"
#include "cloud/lapse.h"

namespace weft::controller {
namespace {

using cloud::Lapse;
using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;

// Nodes may still hold frames, maps and namespaces that carry the number.
constexpr Duration vni_rest = std::chrono::hours(7 * 24);
// ConfigMap: number → when its VPC went (for a person), the VPC's name, and for how long it has rested (cloud/lapse.h).
const ObjectKey released_key{"kube-system", "weft-released-vnis"};

Result<Object> released_vnis(World& world) {
    auto stored = world.client().get(kube::config_maps, released_key);
    if (!stored && stored.error().code == Code::not_found) return Object::of(kube::config_maps, released_key);
    return stored;
}

struct Resting {
    int64_t vni = 0;
    std::string vpc;       // whose it was
    std::string released;  // as it was written
    std::optional<Lapse> rest;  // nothing: not yet counted

    std::string text() const { return fmt::format("{} {} {}", released, vpc, rest->text()); }
};

bool has_rested(const World& world, const Resting& number) {
    return number.rest && number.rest->at(world.clock.now(), world.boot) >= vni_rest;
}

std::vector<Resting> released(const Object& record) {
    std::vector<Resting> numbers;
    const json::Object* const data = json::find_object(record.body(), {"data"});
    if (data == nullptr) return numbers;
    for (const auto& [number, value] : *data) {
        const auto vni = parse_unsigned(std::string_view(number.data(), number.size()));
        if (!vni) continue;
        const std::string_view text = value.is_string() ? json::view(value.get_string()) : "";
        const auto words = split(text, ' ');  // time, VPC, and the three of the lapse
        numbers.push_back({int64_t(*vni), std::string(words.size() > 1 ? words[1] : ""), std::string(words[0]),
                           words.size() > 2 ? Lapse::parse(text.substr(size_t(words[2].data() - text.data())))
                                            : std::nullopt});
    }
    return numbers;
}

std::vector<Resting> resting(const World& world, const Object& record) {
    std::vector<Resting> numbers = released(record);
    std::erase_if(numbers, [&](const Resting& number) { return has_rested(world, number); });
    return numbers;
}

// What nodes say, by the blocks they have: {vni, VPC}.
std::vector<Resting> used_by_nodes(const World& world) {
    std::vector<Resting> used;
    world.address_blocks.for_each([&](const ObjectPtr& block) {
        if (const int64_t vni = block->integer({"status", "vni"}); vni > 0)
            used.push_back({vni, std::string(block->string({"spec", "vpc"})), "", std::nullopt});
    });
    return used;
}

// The VPC that has it or, of those that only ask, comes first by name; "" when nobody.
std::string holder_of(const World& world, int64_t vni, const Object& asking) {
    std::string holder;
    world.vpcs.for_each([&](const ObjectPtr& other) {
        if (other->uid() == asking.uid()) return;
        const int64_t has = other->integer({"status", "vni"});
        const bool asks_first = has == 0 && other->integer({"spec", "vni"}) == vni && other->name() < asking.name();
        if (has == vni || asks_first) holder = other->name();
    });
    return holder;
}

}  // namespace

std::string vni_conflict(World& world, const Object& vpc) {
    const int64_t wanted = vpc.integer({"spec", "vni"}), current = vpc.integer({"status", "vni"});
    if (wanted == 0 || wanted == current) return {};
    if (current != 0) return fmt::format("spec.vni: {}: the VPC has number {}, which never changes", wanted, current);
    if (const std::string holder = holder_of(world, wanted, vpc); !holder.empty())
        return fmt::format("spec.vni: {}: VPC {} has this number", wanted, holder);
    for (const Resting& used : used_by_nodes(world)) {
        if (used.vni == wanted && used.vpc != vpc.name())
            return fmt::format("spec.vni: {}: nodes still use this number for VPC {}", wanted, used.vpc);
    }
    const auto record = released_vnis(world);
    if (!record) return fmt::format("spec.vni: {}: {}", wanted, record.error().message);
    for (const Resting& rest : resting(world, *record)) {
        if (rest.vni == wanted && rest.vpc != vpc.name())
            return fmt::format("spec.vni: {}: VPC {} had this number less than a week ago", wanted, rest.vpc);
    }
    return {};
}

Result<int64_t> choose_vni(World& world, const Object& vpc) {
    if (const int64_t wanted = vpc.integer({"spec", "vni"}); wanted != 0) return wanted;
    std::set<int64_t> taken;
    world.vpcs.for_each([&](const ObjectPtr& other) {
        if (other->uid() == vpc.uid()) return;
        taken.insert(other->integer({"spec", "vni"}));
        taken.insert(other->integer({"status", "vni"}));
    });
    for (const Resting& used : used_by_nodes(world)) {
        if (used.vpc == vpc.name() && !taken.contains(used.vni)) {
            log::warning("VPC number taken over from its nodes", {{"vpc", vpc.name()}, {"vni", used.vni}});
            return used.vni;
        }
        taken.insert(used.vni);
    }
    const Object record = TRY(released_vnis(world));
    for (const Resting& rest : resting(world, record)) taken.insert(rest.vni);
    for (int64_t vni = 1; vni <= int64_t(cloud::vni_max); ++vni) {
        if (!taken.contains(vni)) return vni;
    }
    return fail(Code::exhausted, "every VPC number is taken");
}

Status record_release(World& world, int64_t vni, std::string_view vpc) {
    Object record = TRY(released_vnis(world));
    const std::string number = std::to_string(vni);
    // One that rests already was taken again by a VPC of the same name: its rest begins anew.
    const Resting entry{vni, std::string(vpc), rfc3339(world.clock.wall()), Lapse::begin(world.clock.now(), world.boot)};
    record.set({"data", number}, json::Value(entry.text()));
    if (record.uid().empty()) {
        TRY(world.client().create(kube::config_maps, record));
    } else {
        TRY(world.client().update(kube::config_maps, record));
    }
    return {};
}

Status note_rests(World& world) {
    const Object record = TRY(released_vnis(world));
    Object next = record;
    for (Resting number : released(record)) {
        const std::string key = std::to_string(number.vni);
        if (has_rested(world, number)) {
            json::erase(next.body(), {"data", key});
        } else if (!number.rest || number.rest->wants_renewal(world.clock.now(), world.boot)) {
            number.rest = number.rest ? number.rest->renewed(world.clock.now(), world.boot)
                                      : Lapse::begin(world.clock.now(), world.boot);
            next.set({"data", key}, json::Value(number.text()));
        }
    }
    if (next == record) return {};
    TRY(world.client().update(kube::config_maps, next));
    return {};
}

}  // namespace weft::controller
