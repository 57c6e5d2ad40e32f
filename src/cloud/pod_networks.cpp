#include "cloud/pod_networks.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "cloud/annotations.h"

namespace weft::cloud {
namespace {

constexpr std::string_view interface_name = "eth0";

std::string_view annotation(const json::Value& pod, std::string_view name) {
    return trim(json::find_string(pod, {"metadata", "annotations", name}));
}

std::unexpected<Error> refuse(std::string_view name, const std::string& message) {
    return fail(Code::invalid, fmt::format("metadata.annotations[{}]: {}", name, message));
}

// The one entry of a list of networks.
Result<const json::Value*> only_one(std::string_view name, const json::Array* list, std::string_view interface_field) {
    if (list == nullptr || list->empty()) return refuse(name, "names no network");
    if (list->size() > 1)
        return refuse(name, fmt::format("names {} networks; a pod has one interface here", list->size()));
    const json::Value& network = list->at(0);
    const std::string_view on = json::find_string(network, {interface_field}, interface_name);
    if (on != interface_name)
        return refuse(name, fmt::format("{}: {}: a pod's interface is {} here", interface_field, on, interface_name));
    return &network;
}

Result<OwnNetwork> read_spelled_out(std::string_view text) {
    const auto value = json::parse(text);
    if (!value) return refuse(pod_networks_annotation, value.error().message);
    const json::Value* const network =
        TRY(only_one(pod_networks_annotation, json::find_array(*value, {"podNetworks"}), "interface"));
    auto parsed = parse_pod_networking(json::Object{{"spec", *network}});
    if (!parsed) {
        std::string message = parsed.error().message;
        if (message.starts_with("spec.")) message.replace(0, 5, "podNetworks[0].");
        return refuse(pod_networks_annotation, message);
    }
    return OwnNetwork{std::move(*parsed), ""};
}

Result<OwnNetwork> read_request(std::string_view text) {
    const auto value = json::parse(text);
    if (!value) return refuse(pod_networks_request_annotation, value.error().message);
    const json::Array* const list = value->is_array() ? &value->get_array() : nullptr;
    const json::Value* const network = TRY(only_one(pod_networks_request_annotation, list, "interfaceName"));
    const std::string_view name = json::find_string(*network, {"network"});
    if (name.empty()) return refuse(pod_networks_request_annotation, "[0].network: Required value");
    return OwnNetwork{std::nullopt, std::string(name)};
}

}  // namespace

bool is_left_alone(const json::Value& pod) {
    return json::find_bool(pod, {"spec", "hostNetwork"}) || json::has(pod, {"metadata", "labels", ignored_label});
}

Result<OwnNetwork> own_network(const json::Value& pod) {
    if (is_left_alone(pod)) return OwnNetwork{};
    const std::string_view spelled_out = annotation(pod, pod_networks_annotation);
    const std::string_view request = annotation(pod, pod_networks_request_annotation);
    const std::string_view named = annotation(pod, pod_networking_annotation);
    if (int(!spelled_out.empty()) + int(!request.empty()) + int(!named.empty()) > 1)
        return fail(Code::invalid,
                    fmt::format("metadata.annotations: only one of {}, {} and {} may be given", pod_networks_annotation,
                                pod_networks_request_annotation, pod_networking_annotation));
    if (!spelled_out.empty()) return read_spelled_out(spelled_out);
    if (!request.empty()) return read_request(request);
    return OwnNetwork{std::nullopt, std::string(named)};
}

}  // namespace weft::cloud
