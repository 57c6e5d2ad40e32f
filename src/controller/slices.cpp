#include "controller/slices.h"

#include <algorithm>
#include <map>

#include "kube/resource.h"
#include "net/address.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectPtr;

constexpr std::string_view headless_label = "service.kubernetes.io/headless";
constexpr std::string_view trigger_annotation = "endpoints.kubernetes.io/last-change-trigger-time";

// The number a pod has for a Service port's target; 0 when it lacks the name.
int64_t target_number(const Object& pod, const json::Value& service_port) {
    const json::Value* const target = json::find(service_port, {"targetPort"});
    if (target == nullptr) return json::find_int(service_port, {"port"});
    if (!target->is_string()) return json::find_int(service_port, {"targetPort"});
    const std::string_view protocol = json::find_string(service_port, {"protocol"}, "TCP");
    for (const std::string_view kind : {"containers", "initContainers"}) {
        for (const json::Value& container : pod.array({"spec", kind})) {
            const json::Array* const ports = json::find_array(container, {"ports"});
            if (ports == nullptr) continue;
            for (const json::Value& port : *ports) {
                if (json::find_string(port, {"name"}) == json::view(target->get_string()) &&
                    json::find_string(port, {"protocol"}, "TCP") == protocol)
                    return json::find_int(port, {"containerPort"});
            }
        }
    }
    return 0;
}

json::Array ports_of(const Object& service, const Object& pod) {
    json::Array ports;
    for (const json::Value& service_port : service.array({"spec", "ports"})) {
        const int64_t number = target_number(pod, service_port);
        if (number == 0) continue;
        json::Object port{{"name", json::find_string(service_port, {"name"})},
                          {"protocol", json::find_string(service_port, {"protocol"}, "TCP")},
                          {"port", number}};
        const std::string_view app = json::find_string(service_port, {"appProtocol"});
        if (!app.empty()) port["appProtocol"] = app;
        ports.push_back(std::move(port));
    }
    return ports;
}

// The pod's address of a family; "" when it has none. EPS-6
std::string_view address_of(const Object& pod, std::string_view address_type) {
    const auto is_wanted = [&](std::string_view text) {
        const auto address = net::Address::parse(text);
        return address && address->is_v4() == (address_type == "IPv4");
    };
    for (const json::Value& entry : pod.array({"status", "podIPs"})) {
        if (const std::string_view text = json::find_string(entry, {"ip"}); is_wanted(text)) return text;
    }
    const std::string_view primary = pod.string({"status", "podIP"});
    return is_wanted(primary) ? primary : std::string_view();
}

bool is_over(const Object& pod) {
    const std::string_view phase = pod.string({"status", "phase"});
    return phase == "Succeeded" || phase == "Failed";
}

std::vector<std::string> families_of(const Object& service) {
    auto families = json::find_strings(service.body(), {"spec", "ipFamilies"});
    if (families.empty()) families.emplace_back("IPv4");
    return families;
}

json::Value endpoint_of(const Object& service, const Object& pod, std::string_view address,
                        const ZoneOfNode& zone_of_node) {
    const bool serving = kube::condition_is(pod, "Ready", "True");
    const bool terminating = pod.deleting();
    const bool ready = service.boolean({"spec", "publishNotReadyAddresses"}) || (serving && !terminating);
    json::Object endpoint{
        {"addresses", json::Array{address}},
        {"conditions", json::Object{{"ready", ready}, {"serving", serving}, {"terminating", terminating}}}};
    const std::string_view hostname = pod.string({"spec", "hostname"});
    if (!hostname.empty() && pod.string({"spec", "subdomain"}) == service.name()) endpoint["hostname"] = hostname;
    endpoint["targetRef"] =
        json::Object{{"kind", "Pod"}, {"namespace", pod.ns()}, {"name", pod.name()}, {"uid", pod.uid()}};
    const std::string_view node = pod.string({"spec", "nodeName"});
    if (!node.empty()) {
        endpoint["nodeName"] = node;
        const std::string zone = zone_of_node(node);
        if (!zone.empty()) endpoint["zone"] = zone;
    }
    return endpoint;
}

std::string_view identity(const json::Value& endpoint) { return json::find_string(endpoint, {"targetRef", "uid"}); }

Object empty_slice(const Object& service, std::string_view address_type) {
    Object slice = Object::of(kube::endpoint_slices, {std::string(service.ns()), ""});
    json::erase(slice.body(), {"metadata", "name"});
    slice.set({"metadata", "generateName"}, json::Value(std::string(service.name().substr(0, 57)) + "-"));
    slice.set_controller_owner(service);
    slice.set({"addressType"}, address_type);
    return slice;
}

void set_labels(Object& slice, const Object& service) {
    json::Object labels;
    for (const auto& [name, value] : service.labels()) labels[name] = value;
    labels[service_name_label] = service.name();
    labels[managed_by_label] = slice_manager;
    labels.erase(headless_label);
    if (service.string({"spec", "clusterIP"}) == "None") labels[headless_label] = "";
    slice.set({"metadata", "labels"}, std::move(labels));
}

// The slices of one group: the existing ones with its ports, refilled, then new ones.
class GroupFiller {
public:
    GroupFiller(const Object& service, EndpointGroup group, std::string_view now)
        : service_(service), group_(std::move(group)), now_(now) {
        for (size_t i = 0; i < group_.endpoints.size(); ++i) by_identity_[identity(group_.endpoints[i])] = i;
        placed_.resize(group_.endpoints.size());
    }

    bool takes(const ObjectPtr& slice) {
        if (slice->string({"addressType"}) != group_.address_type || slice->array({"ports"}) != group_.ports) return false;
        std::vector<size_t> stay;
        for (const json::Value& endpoint : slice->array({"endpoints"})) {
            const auto found = by_identity_.find(identity(endpoint));
            if (found == by_identity_.end() || placed_[found->second]) continue;
            placed_[found->second] = true;
            stay.push_back(found->second);
        }
        slices_.push_back({slice, std::move(stay)});
        return true;
    }

    void finish(SlicePlan& plan) {
        bool keep_one_empty = group_.endpoints.empty();  // the Service would otherwise have no slice of the family
        std::vector<size_t> homeless;
        for (size_t i = 0; i < placed_.size(); ++i) {
            if (!placed_[i]) homeless.push_back(i);
        }
        for (auto& [slice, members] : slices_) {
            while (members.size() < slice_endpoints_max && !homeless.empty()) {
                members.push_back(homeless.back());
                homeless.pop_back();
            }
        }
        for (auto& [slice, members] : slices_) {
            if (members.empty() && !keep_one_empty) {
                plan.deletes.push_back(slice);
                continue;
            }
            keep_one_empty = keep_one_empty && !members.empty();
            Object next = filled(*slice, members);
            if (next == *slice) continue;
            stamp(next);
            plan.updates.emplace_back(slice, std::move(next));
        }
        for (size_t from = 0; from < homeless.size() || keep_one_empty; from += slice_endpoints_max) {
            const size_t to = std::min(homeless.size(), from + slice_endpoints_max);
            Object slice =
                filled(empty_slice(service_, group_.address_type), {homeless.begin() + ptrdiff_t(from), homeless.begin() + ptrdiff_t(to)});
            stamp(slice);
            plan.creates.push_back(std::move(slice));
            keep_one_empty = false;
        }
    }

private:
    Object filled(Object slice, const std::vector<size_t>& members) const {
        set_labels(slice, service_);
        json::Array endpoints;
        for (const size_t i : members) endpoints.push_back(group_.endpoints[i]);
        slice.set({"endpoints"}, std::move(endpoints));
        slice.set({"ports"}, group_.ports);
        return slice;
    }

    void stamp(Object& slice) const { slice.set_annotation(trigger_annotation, now_); }

    const Object& service_;
    EndpointGroup group_;
    const std::string now_;
    std::map<std::string_view, size_t> by_identity_;
    std::vector<bool> placed_;
    std::vector<std::pair<ObjectPtr, std::vector<size_t>>> slices_;
};

}  // namespace

std::vector<EndpointGroup> endpoint_groups(const Object& service, const std::vector<ObjectPtr>& pods,
                                           const ZoneOfNode& zone_of_node) {
    std::vector<EndpointGroup> groups;
    for (const std::string& family : families_of(service)) {
        for (const ObjectPtr& pod : pods) {
            const std::string_view address = address_of(*pod, family);
            if (address.empty() || is_over(*pod)) continue;
            json::Array ports = ports_of(service, *pod);
            auto group = std::find_if(groups.begin(), groups.end(), [&](const EndpointGroup& g) {
                return g.address_type == family && g.ports == ports;
            });
            if (group == groups.end()) group = groups.insert(groups.end(), EndpointGroup{std::move(ports), {}, family});
            group->endpoints.push_back(endpoint_of(service, *pod, address, zone_of_node));
        }
    }
    return groups;
}

SlicePlan plan_slices(const Object& service, const std::vector<ObjectPtr>& existing, std::vector<EndpointGroup> groups,
                      std::string_view now) {
    SlicePlan plan;
    for (const std::string& family : families_of(service)) {
        if (std::any_of(groups.begin(), groups.end(), [&](const EndpointGroup& g) { return g.address_type == family; }))
            continue;
        // The one empty slice: an existing one keeps its ports, so it is not rewritten on its way to new endpoints.
        const auto kept = std::find_if(existing.begin(), existing.end(), [&](const ObjectPtr& slice) {
            return slice->string({"addressType"}) == family;
        });
        groups.push_back({kept == existing.end() ? json::Array{} : (*kept)->array({"ports"}), {}, family});
    }
    std::vector<GroupFiller> fillers;
    fillers.reserve(groups.size());
    for (EndpointGroup& group : groups) fillers.emplace_back(service, std::move(group), now);
    for (const ObjectPtr& slice : existing) {
        const bool taken =
            std::any_of(fillers.begin(), fillers.end(), [&](GroupFiller& filler) { return filler.takes(slice); });
        if (!taken) plan.deletes.push_back(slice);
    }
    for (GroupFiller& filler : fillers) filler.finish(plan);
    return plan;
}

}  // namespace weft::controller
