// Cells of Service, EndpointSlice, Endpoints, Ingress and IngressClass.
#include "apiserver/table_builtin.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

constexpr size_t shown_max = 3;  // then "+ N more..."

std::string joined(const std::vector<std::string>& parts, Text separator = ",") {
    std::string out;
    for (const std::string& part : parts) {
        if (!out.empty()) out += separator;
        out += part;
    }
    return out;
}

std::string shortened(const std::vector<std::string>& parts) {
    if (parts.size() <= shown_max) return joined(parts);
    return fmt::format("{} + {} more...", joined({parts.begin(), parts.begin() + shown_max}), parts.size() - shown_max);
}

std::vector<std::string> load_balancer_addresses(const json::Value& object) {
    std::vector<std::string> out;
    const json::Array* ingress = json::find_array(object, {"status", "loadBalancer", "ingress"});
    for (size_t index = 0; ingress != nullptr && index < ingress->size(); index++) {
        Text text = json::find_string((*ingress)[index], {"ip"});
        if (text.empty()) text = json::find_string((*ingress)[index], {"hostname"});
        if (!text.empty()) out.emplace_back(text);
    }
    return out;
}

std::string external_ip(const json::Value& object) {
    const Text type = json::find_string(object, {"spec", "type"});
    std::vector<std::string> addresses = json::find_strings(object, {"spec", "externalIPs"});
    if (type == "ExternalName") return std::string(json::find_string(object, {"spec", "externalName"}));
    if (type != "LoadBalancer") return or_none(joined(addresses));
    std::vector<std::string> all = load_balancer_addresses(object);
    if (all.empty() && addresses.empty()) return "<pending>";
    all.insert(all.end(), addresses.begin(), addresses.end());
    return joined(all);
}

std::string service_ports(const json::Value& object) {
    std::vector<std::string> out;
    const json::Array* ports = json::find_array(object, {"spec", "ports"});
    for (size_t index = 0; ports != nullptr && index < ports->size(); index++) {
        const json::Value& port = (*ports)[index];
        const int64_t node_port = json::find_int(port, {"nodePort"});
        const std::string number = std::to_string(json::find_int(port, {"port"}));
        out.push_back(fmt::format("{}/{}", node_port == 0 ? number : number + ":" + std::to_string(node_port),
                                  json::find_string(port, {"protocol"}, "TCP")));
    }
    return or_none(joined(out));
}

}  // namespace

json::Array service_cells(const json::Value& object, WallTime now) {
    const bool is_name = json::find_string(object, {"spec", "type"}) == "ExternalName";
    const std::string address(json::find_string(object, {"spec", "clusterIP"}));
    return {name_cell(object),
            json::Value(json::find_string(object, {"spec", "type"})),
            json::Value(is_name ? "<none>" : or_none(address)),
            json::Value(external_ip(object)),
            json::Value(service_ports(object)),
            age_cell(object, now),
            json::Value(label_list(json::find(object, {"spec", "selector"})))};
}

json::Array endpoint_slice_cells(const json::Value& object, WallTime now) {
    std::vector<std::string> ports;
    if (const json::Array* list = json::find_array(object, {"ports"})) {
        for (const json::Value& port : *list) {
            const json::Value* number = json::find(port, {"port"});
            const Text name = json::find_string(port, {"name"});
            ports.push_back(number != nullptr ? json::serialize(*number) : name.empty() ? "*" : std::string(name));
        }
    }
    std::vector<std::string> addresses;
    if (const json::Array* list = json::find_array(object, {"endpoints"})) {
        for (const json::Value& endpoint : *list) {
            for (std::string& address : json::find_strings(endpoint, {"addresses"}))
                addresses.push_back(std::move(address));
        }
    }
    return {name_cell(object), json::Value(json::find_string(object, {"addressType"})),
            json::Value(or_none(shortened(ports), "<unset>")), json::Value(or_none(shortened(addresses), "<unset>")),
            age_cell(object, now)};
}

json::Array endpoints_cells(const json::Value& object, WallTime now) {
    std::vector<std::string> shown;
    const json::Array* subsets = json::find_array(object, {"subsets"});
    for (size_t index = 0; subsets != nullptr && index < subsets->size(); index++) {
        const json::Array* addresses = json::find_array((*subsets)[index], {"addresses"});
        const json::Array* ports = json::find_array((*subsets)[index], {"ports"});
        if (addresses == nullptr) continue;
        for (const json::Value& address : *addresses) {
            const std::string ip(json::find_string(address, {"ip"}));
            if (ports == nullptr || ports->empty()) shown.push_back(ip);
            for (size_t at = 0; ports != nullptr && at < ports->size(); at++) {
                const int64_t port = json::find_int((*ports)[at], {"port"});
                shown.push_back(ip.find(':') == ip.npos ? fmt::format("{}:{}", ip, port)
                                                        : fmt::format("[{}]:{}", ip, port));
            }
        }
    }
    return {name_cell(object), json::Value(or_none(shortened(shown))), age_cell(object, now)};
}

json::Array ingress_cells(const json::Value& object, WallTime now) {
    std::string class_name(json::find_string(object, {"spec", "ingressClassName"}));
    if (class_name.empty())
        class_name = json::find_string(object, {"metadata", "annotations", "kubernetes.io/ingress.class"});
    std::vector<std::string> hosts;
    if (const json::Array* rules = json::find_array(object, {"spec", "rules"})) {
        for (const json::Value& rule : *rules) {
            const Text host = json::find_string(rule, {"host"});
            if (!host.empty()) hosts.emplace_back(host);
        }
    }
    const json::Array* tls = json::find_array(object, {"spec", "tls"});
    return {name_cell(object),
            json::Value(or_none(std::move(class_name))),
            json::Value(or_none(shortened(hosts), "*")),
            json::Value(joined(load_balancer_addresses(object))),
            json::Value(tls != nullptr && !tls->empty() ? "80, 443" : "80"),
            age_cell(object, now)};
}

json::Array ingress_class_cells(const json::Value& object, WallTime now) {
    std::string parameters = "<none>";
    if (const json::Value* given = json::find(object, {"spec", "parameters"})) {
        const Text group = json::find_string(*given, {"apiGroup"});
        parameters = json::find_string(*given, {"kind"});
        if (!group.empty()) parameters += "." + std::string(group);
        parameters += "/" + std::string(json::find_string(*given, {"name"}));
    }
    return {name_cell(object), json::Value(json::find_string(object, {"spec", "controller"})), json::Value(parameters),
            age_cell(object, now)};
}

}  // namespace weft::apiserver
