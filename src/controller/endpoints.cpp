#include "controller/endpoints.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "controller/reconcilers.h"
#include "net/address.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

constexpr std::string_view headless_label = "service.kubernetes.io/headless";
constexpr std::string_view endpoints_manager_label = "endpoints.kubernetes.io/managed-by";
constexpr std::string_view endpoints_manager = "endpoint-controller";
constexpr std::string_view skip_mirror_label = "endpointslice.kubernetes.io/skip-mirror";
constexpr std::string_view leader_annotation = "control-plane.alpha.kubernetes.io/leader";
constexpr std::string_view trigger_annotation = "endpoints.kubernetes.io/last-change-trigger-time";
constexpr std::string_view last_applied_annotation = "kubectl.kubernetes.io/last-applied-configuration";
constexpr std::string_view capacity_annotation = "endpoints.kubernetes.io/over-capacity";
// Those who read the old form are in no hurry, and a large one is written whole for every change.
constexpr Duration old_form_delay = std::chrono::seconds(1);
constexpr Duration mirror_delay = std::chrono::milliseconds(100);

struct Subset {
    json::Array ready, not_ready;
};

json::Object old_address(const json::Value& endpoint) {
    json::Object address{{"ip", json::find_strings(endpoint, {"addresses"})[0]}};
    for (const std::string_view part : {"hostname", "nodeName", "targetRef"})
        if (const json::Value* value = json::find(endpoint, {part})) address[part] = *value;
    return address;
}

std::string first_family(const Object& service) {
    const auto families = json::find_strings(service.body(), {"spec", "ipFamilies"});
    return families.empty() ? "IPv4" : families[0];
}

json::Array old_ports(const Object& slice) {
    json::Array ports = slice.array({"ports"});
    for (json::Value& port : ports)
        if (json::find_string(port, {"name"}).empty()) json::erase(port, {"name"});
    return ports;
}

// Takes as many as there is room for.
json::Array some_of(json::Array addresses, size_t& room) {
    if (addresses.size() > room) addresses.resize(room);
    room -= addresses.size();
    return addresses;
}

void sort_by_address(json::Array& addresses) {
    std::sort(addresses.begin(), addresses.end(), [](const json::Value& a, const json::Value& b) {
        return json::find_string(a, {"ip"}) < json::find_string(b, {"ip"});
    });
}

void set_old_labels(Object& endpoints, const Object& service) {
    json::Object labels;
    for (const auto& [name, value] : service.labels()) labels[name] = value;
    labels[endpoints_manager_label] = endpoints_manager;
    labels.erase(headless_label);
    if (service.string({"spec", "clusterIP"}) == "None") labels[headless_label] = "";
    endpoints.set({"metadata", "labels"}, std::move(labels));
}

// The slice that holds these ports and this family, made when there is none.
Object& slice_for(std::vector<Object>& slices, const Object& service, const Object& endpoints, std::string_view family,
                  const json::Array& ports) {
    for (Object& slice : slices)
        if (slice.string({"addressType"}) == family && slice.array({"ports"}) == ports) return slice;
    Object slice = Object::of(kube::endpoint_slices, {std::string(service.ns()), ""});
    json::erase(slice.body(), {"metadata", "name"});
    slice.set({"metadata", "generateName"}, json::Value(std::string(service.name().substr(0, 57)) + "-"));
    slice.set_controller_owner(service);
    slice.set({"addressType"}, family);
    slice.set({"ports"}, ports);
    slice.set({"endpoints"}, json::Array{});
    json::Object labels;
    for (const auto& [name, value] : endpoints.labels()) labels[name] = value;
    labels[service_name_label] = service.name();
    labels[managed_by_label] = slice_mirror;
    slice.set({"metadata", "labels"}, std::move(labels));
    static const json::Object none;
    const json::Object* given = json::find_object(endpoints.body(), {"metadata", "annotations"});
    for (const auto& [key, value] : given == nullptr ? none : *given) {
        const std::string_view name = key;
        if (name != trigger_annotation && name != last_applied_annotation)
            slice.set({"metadata", "annotations", name}, value);
    }
    slices.push_back(std::move(slice));
    return slices.back();
}

// With the address in its canonical form, the only one that slices take.
void add_mirrored(Object& slice, const json::Value& address, const std::string& ip, bool ready) {
    json::Array endpoints = slice.array({"endpoints"});
    if (endpoints.size() >= endpoints_max) return;
    json::Object endpoint{{"addresses", json::Array{json::Value(ip)}},
                          {"conditions", json::Object{{"ready", ready}}}};
    for (const std::string_view part : {"hostname", "nodeName", "targetRef"})
        if (const json::Value* value = json::find(address, {part})) endpoint[part] = *value;
    endpoints.push_back(std::move(endpoint));
    slice.set({"endpoints"}, std::move(endpoints));
}

std::vector<Object> mirrored_slices(const Object& service, const Object& endpoints) {
    std::vector<Object> slices;
    for (const json::Value& subset : endpoints.array({"subsets"})) {
        json::Array ports;
        if (const json::Array* given = json::find_array(subset, {"ports"})) ports = *given;
        for (json::Value& port : ports)
            if (!json::has(port, {"name"})) json::set(port, {"name"}, "");
        for (const std::string_view list : {"addresses", "notReadyAddresses"}) {
            const json::Array* addresses = json::find_array(subset, {list});
            for (size_t i = 0; addresses != nullptr && i < std::min(addresses->size(), endpoints_max); ++i) {
                const auto parsed = net::Address::parse(json::find_string((*addresses)[i], {"ip"}));
                if (!parsed) continue;
                add_mirrored(slice_for(slices, service, endpoints, parsed->is_v4() ? "IPv4" : "IPv6", ports),
                             (*addresses)[i], parsed->text(), list == "addresses");
            }
        }
    }
    return slices;
}

}  // namespace

std::optional<Object> wanted_endpoints(const Object& service, const std::vector<ObjectPtr>& slices,
                                       const ObjectPtr& existing) {
    std::map<std::string, std::pair<json::Array, Subset>> subsets;  // by their ports, in words
    const std::string family = first_family(service);
    size_t all = 0;
    for (const ObjectPtr& slice : slices) {
        const json::Array ports = old_ports(*slice);
        if (slice->label(managed_by_label) != slice_manager || slice->string({"addressType"}) != family) continue;
        if (ports.empty() && !service.array({"spec", "ports"}).empty()) continue;  // they lack the port's name
        for (const json::Value& endpoint : slice->array({"endpoints"})) {
            const bool ready = json::find_bool(endpoint, {"conditions", "ready"});
            if (!ready && json::find_bool(endpoint, {"conditions", "terminating"})) continue;
            auto& [of, subset] = subsets[json::serialize(ports)];
            of = ports;
            (ready ? subset.ready : subset.not_ready).push_back(old_address(endpoint));
            ++all;
        }
    }
    if (all == 0 && !existing) return std::nullopt;
    Object wanted = existing ? *existing : Object::of(endpoints_resource, service.key());
    size_t room = endpoints_max;
    json::Array list;
    for (auto& [text, entry] : subsets) {
        auto& [ports, subset] = entry;
        sort_by_address(subset.ready);
        sort_by_address(subset.not_ready);
        const json::Array ready = some_of(std::move(subset.ready), room);
        const json::Array not_ready = some_of(std::move(subset.not_ready), room);
        json::Object shown;
        if (!ready.empty()) shown["addresses"] = ready;
        if (!not_ready.empty()) shown["notReadyAddresses"] = not_ready;
        if (shown.empty()) continue;
        if (!ports.empty()) shown["ports"] = ports;
        list.push_back(std::move(shown));
    }
    if (list.empty())
        json::erase(wanted.body(), {"subsets"});
    else
        wanted.set({"subsets"}, std::move(list));
    set_old_labels(wanted, service);
    if (all > endpoints_max)
        wanted.set_annotation(capacity_annotation, "truncated");
    else
        json::erase(wanted.body(), {"metadata", "annotations", capacity_annotation});
    return wanted;
}

bool is_mirrored(const Object& service, const Object& endpoints) {
    return !has_selector(service) && service.string({"spec", "type"}) != "ExternalName" && !endpoints.deleting() &&
           endpoints.label(skip_mirror_label) != "true" && endpoints.annotation(leader_annotation).empty() &&
           endpoints.label(endpoints_manager_label) != endpoints_manager;
}

SlicePlan plan_mirror(const Object& service, const ObjectPtr& endpoints, const std::vector<ObjectPtr>& existing) {
    SlicePlan plan;
    std::vector<Object> wanted;
    if (endpoints && is_mirrored(service, *endpoints)) wanted = mirrored_slices(service, *endpoints);
    std::vector<ObjectPtr> left = existing;
    for (Object& slice : wanted) {
        const auto same = std::find_if(left.begin(), left.end(), [&](const ObjectPtr& have) {
            return have->string({"addressType"}) == slice.string({"addressType"}) &&
                   have->array({"ports"}) == slice.array({"ports"});
        });
        if (same == left.end()) {
            plan.creates.push_back(std::move(slice));
            continue;
        }
        Object next = **same;
        next.set({"endpoints"}, slice.array({"endpoints"}));
        next.set({"metadata", "labels"}, *slice.find({"metadata", "labels"}));
        if (!(next == **same)) plan.updates.emplace_back(*same, std::move(next));
        left.erase(same);
    }
    plan.deletes = std::move(left);
    return plan;
}

namespace {

// One slice that is refused keeps none of the others from being written.
Status write_mirror(World& world, const SlicePlan& plan) {
    Status first;
    const auto note = [&](const auto& written) {
        if (!written && first) first = fail(written.error());
    };
    for (const Object& slice : plan.creates) note(world.endpoint_slices.create(slice));
    for (const auto& [from, to] : plan.updates) note(world.endpoint_slices.put(*from, to));
    for (const ObjectPtr& slice : plan.deletes) note(world.endpoint_slices.remove(*slice));
    return first;
}

// A user's Endpoints go with the Service that was there; they may also come before it.
Status follow(World& world, View& old_forms, std::set<ObjectKey>& ended, const ObjectKey& key) {
    const ObjectPtr service = world.services.get(key);
    const ObjectPtr existing = old_forms.get(key);
    if (service) ended.erase(key);
    if (!service || service->string({"spec", "type"}) == "ExternalName") {
        const bool goes = existing && !existing->deleting() &&
                          (ended.contains(key) || existing->label(endpoints_manager_label) == endpoints_manager);
        if (goes) TRY(old_forms.remove(*existing));
        ended.erase(key);
        return {};
    }
    if (service->deleting()) return {};
    auto slices = world.endpoint_slices.under(world.slices_by_service, index_text(key.ns, key.name));
    if (has_selector(*service)) {
        const auto wanted = wanted_endpoints(*service, slices, existing);
        if (wanted && existing) TRY(old_forms.put(*existing, *wanted));
        if (wanted && !existing) TRY(old_forms.create(*wanted));
    }
    std::erase_if(slices, [](const ObjectPtr& slice) {
        return slice->label(managed_by_label) != slice_mirror || slice->deleting();
    });
    return write_mirror(world, plan_mirror(*service, existing, slices));
}

}  // namespace

void add_endpoints_reconciler(World& world) {
    const auto old_forms = std::make_shared<View>(world.brain, endpoints_resource);
    const auto ended = std::make_shared<std::set<ObjectKey>>();
    auto& queue = world.brain.add_reconciler("endpoints", [&world, old_forms, ended](const ObjectKey& key) {
        return settle(follow(world, *old_forms, *ended, key));
    });
    world.services.on_change([&queue, old_forms, ended](const ObjectPtr& before, const ObjectPtr& after) {
        const ObjectKey key = (after ? after : before)->key();
        if (!old_forms->get(key)) return;
        if (!after) ended->insert(key);
        queue.add_after(key, mirror_delay);
    });
    old_forms->on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        queue.add_after((after ? after : before)->key(), mirror_delay);
    });
    world.endpoint_slices.on_change([&queue](const ObjectPtr& before, const ObjectPtr& after) {
        const Object& slice = after ? *after : *before;
        const std::string_view service = slice.label(service_name_label);
        const std::string_view manager = slice.label(managed_by_label);
        if (service.empty() || (manager != slice_manager && manager != slice_mirror)) return;
        queue.add_after({std::string(slice.ns()), std::string(service)},
                        manager == slice_mirror ? mirror_delay : old_form_delay);
    });
}

}  // namespace weft::controller
