#include "controller/hints.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "cloud/annotations.h"
#include "controller/world.h"

namespace weft::controller {
namespace {

constexpr std::string_view mode_annotation = "service.kubernetes.io/topology-mode";
constexpr std::string_view old_mode_annotation = "service.kubernetes.io/topology-aware-hints";
constexpr double overload_max = 0.2;

// "2", "1500m".
double cpu_of(std::string_view quantity) {
    const bool milli = !quantity.empty() && quantity.back() == 'm';
    if (milli) quantity.remove_suffix(1);
    const auto number = parse_unsigned(quantity);
    return number ? double(*number) / (milli ? 1000 : 1) : 0;
}

using Ready = std::vector<json::Value*>;

Ready ready_endpoints(std::vector<EndpointGroup>& groups) {
    Ready ready;
    for (EndpointGroup& group : groups)
        for (json::Value& endpoint : group.endpoints)
            if (json::find_bool(endpoint, {"conditions", "ready"})) ready.push_back(&endpoint);
    return ready;
}

json::Array names(std::string_view name) { return {json::Object{{"name", name}}}; }

void hint_own_place(const Ready& ready, bool node_too) {
    for (json::Value* endpoint : ready) {
        const std::string zone(json::find_string(*endpoint, {"zone"}));
        const std::string node(json::find_string(*endpoint, {"nodeName"}));
        if (!zone.empty()) json::set(*endpoint, {"hints", "forZones"}, names(zone));
        if (node_too && !node.empty()) json::set(*endpoint, {"hints", "forNodes"}, names(node));
    }
}

// How few endpoints a zone may have before it is overloaded; empty: it cannot be done.
std::map<std::string, size_t, std::less<>> least_by_zone(const ZoneCpu& cpu, size_t endpoints) {
    std::map<std::string, size_t, std::less<>> least;
    double all = 0;
    for (const auto& [zone, n] : cpu) all += n;
    if (cpu.size() < 2 || endpoints < cpu.size() || all <= 0) return {};
    size_t needed = 0;
    for (const auto& [zone, n] : cpu) {
        least[zone] = size_t(std::ceil(double(endpoints) * n / all / (1 + overload_max)));
        needed += least[zone];
    }
    if (needed > endpoints) return {};
    return least;
}

void hint_by_cpu(const Ready& ready, const ZoneCpu& cpu) {
    const auto least = least_by_zone(cpu, ready.size());
    if (least.empty()) return;
    std::map<std::string, Ready, std::less<>> given;
    for (json::Value* endpoint : ready) {
        const std::string_view zone = json::find_string(*endpoint, {"zone"});
        if (!least.contains(zone)) return;
        given[std::string(zone)].push_back(endpoint);
    }
    const auto spare = [&](const std::string& zone) { return long(given[zone].size()) - long(least.at(zone)); };
    for (const auto& [needy, wanted] : least) {
        while (spare(needy) < 0) {
            const auto donor = std::max_element(least.begin(), least.end(), [&](const auto& a, const auto& b) {
                return spare(a.first) < spare(b.first);
            });
            if (spare(donor->first) <= 0) return;
            given[needy].push_back(given[donor->first].back());
            given[donor->first].pop_back();
        }
    }
    for (const auto& [zone, endpoints] : given)
        for (json::Value* endpoint : endpoints) json::set(*endpoint, {"hints", "forZones"}, names(zone));
}

}  // namespace

ZoneCpu zone_cpu(const std::vector<kube::ObjectPtr>& nodes) {
    ZoneCpu cpu;
    for (const kube::ObjectPtr& node : nodes) {
        if (!is_ready(*node)) continue;
        const std::string_view zone = node->label(cloud::zone_label);
        if (zone.empty()) return {};
        cpu[std::string(zone)] += cpu_of(node->string({"status", "allocatable", "cpu"}));
    }
    return cpu;
}

HintRule hint_rule(const kube::Object& service) {
    std::string_view mode = service.annotation(mode_annotation);
    if (mode.empty()) mode = service.annotation(old_mode_annotation);
    if (mode == "Auto" || mode == "auto") return HintRule::by_cpu;
    const std::string_view distribution = service.string({"spec", "trafficDistribution"});
    if (distribution == "PreferSameNode") return HintRule::same_node;
    if (distribution == "PreferClose" || distribution == "PreferSameZone") return HintRule::same_zone;
    return HintRule::none;
}

void add_hints(std::vector<EndpointGroup>& groups, HintRule rule, const ZoneCpu& cpu) {
    const Ready ready = ready_endpoints(groups);
    if (rule == HintRule::by_cpu) hint_by_cpu(ready, cpu);
    else if (rule != HintRule::none) hint_own_place(ready, rule == HintRule::same_node);
}

}  // namespace weft::controller
