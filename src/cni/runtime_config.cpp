#include "cni/runtime_config.h"

#include <algorithm>

#include "base/strings.h"

namespace weft::cni {
namespace {

constexpr int64_t port_max = 65535;
constexpr size_t mappings_max = 4096;

std::string field_of(std::string_view name) { return "runtimeConfig." + std::string(name); }

std::unexpected<Failure> invalid(std::string_view name, const std::string& why) {
    return refuse(Answer::invalid_config, field_of(name) + ": " + why);
}

// Absent, null and empty ask for nothing.
const json::Value* asked(const json::Value& config, std::string_view name) {
    const json::Value* value = json::find(config, {"runtimeConfig", name});
    if (value == nullptr || value->is_null()) return nullptr;
    const bool is_empty = (value->is_array() && value->get_array().empty()) ||
                          (value->is_object() && value->get_object().empty()) ||
                          (value->is_string() && value->get_string().empty());
    return is_empty ? nullptr : value;
}

Outcome<uint16_t> port_field(const json::Value& mapping, std::string_view name, int64_t lowest) {
    const json::Value* value = json::find(mapping, {name});
    const bool is_number = value != nullptr && value->is_int64();
    if (!is_number || value->get_int64() < lowest || value->get_int64() > port_max)
        return invalid("portMappings", std::string(name) + " must be a number from " + std::to_string(lowest) + " to 65535");
    return uint16_t(value->get_int64());
}

bool share_an_address(const std::string& a, const std::string& b) {
    const auto is_any = [](const std::string& text) { return text.empty() || text == "0.0.0.0" || text == "::"; };
    return a == b || is_any(a) || is_any(b);
}

Outcome<std::vector<protocol::cni::HostPort>> parse_mappings(const json::Value& config) {
    std::vector<protocol::cni::HostPort> ports;
    const json::Value* mappings = asked(config, "portMappings");
    if (mappings == nullptr) return ports;
    if (!mappings->is_array()) return invalid("portMappings", "must be a list");
    if (mappings->get_array().size() > mappings_max) return invalid("portMappings", "has too many entries");
    for (const json::Value& mapping : mappings->get_array()) {
        if (!mapping.is_object()) return invalid("portMappings", "each must be an object");
        protocol::cni::HostPort port;
        port.number = TRY(port_field(mapping, "hostPort", 0));
        port.target = TRY(port_field(mapping, "containerPort", 1));
        const std::string_view protocol = json::find_string(mapping, {"protocol"}, "tcp");
        if (equals_ignoring_case(protocol, "udp")) port.protocol = net::Protocol::udp;
        else if (!equals_ignoring_case(protocol, "tcp")) return invalid("portMappings", "protocol must be tcp or udp");
        port.address = json::find_string(mapping, {"hostIP"});
        if (!port.address.empty() && !net::Address::parse(port.address))
            return invalid("portMappings", "hostIP is not an address");
        if (port.number == 0) continue;  // a port of the container's own
        for (const protocol::cni::HostPort& other : ports)
            if (other.number == port.number && other.protocol == port.protocol &&
                share_an_address(other.address, port.address))
                return invalid("portMappings", "hostPort " + std::to_string(port.number) + " is there twice");
        ports.push_back(std::move(port));
    }
    return ports;
}

bool is_mac(std::string_view text) {
    const auto parts = split(text, ':');
    return parts.size() == 6 && std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
               return part.size() == 2 && part.find_first_not_of("0123456789abcdefABCDEF") == part.npos;
           });
}

// "10.0.0.7" or "10.0.0.7/24": the length is the network's business.
Outcome<std::string> parse_wish(std::string_view field, std::string_view text) {
    const auto address = net::Address::parse(text.substr(0, text.find('/')));
    if (!address) return refuse(Answer::invalid_config, std::string(field) + ": not an address");
    if (!address->is_v4())
        return refuse(Answer(2), std::string(field) + ": only IPv4; an IPv6 address follows from the IPv4 one");
    return address->text();
}

Outcome<std::string> parse_ips(const json::Value& config) {
    const json::Value* ips = asked(config, "ips");
    if (ips == nullptr) return std::string();
    if (!ips->is_array()) return invalid("ips", "must be a list");
    for (const json::Value& ip : ips->get_array())
        if (!ip.is_string()) return invalid("ips", "each must be a string");
    if (ips->get_array().size() > 1) return refuse(Answer(2), "runtimeConfig.ips: a pod has one address");
    return parse_wish("runtimeConfig.ips", json::view(ips->get_array()[0].get_string()));
}

Outcome<void> check_the_rest(const json::Value& config) {
    if (const json::Value* mac = asked(config, "mac")) {
        if (!mac->is_string() || !is_mac(json::view(mac->get_string()))) return invalid("mac", "not a MAC address");
        return refuse(Answer(2), "runtimeConfig.mac: not supported", "an endpoint's MAC follows from its number");
    }
    if (const json::Value* bandwidth = asked(config, "bandwidth")) {
        if (!bandwidth->is_object()) return invalid("bandwidth", "must be an object");
        for (const std::string_view field : {"ingressRate", "ingressBurst", "egressRate", "egressBurst"}) {
            const json::Value* value = json::find(*bandwidth, {field});
            const bool is_size = value == nullptr || (value->is_int64() && value->get_int64() >= 0);
            if (!is_size) return invalid("bandwidth", std::string(field) + " must be a number of bits");
            if (value != nullptr && value->get_int64() > 0)
                return refuse(Answer(2), "runtimeConfig.bandwidth: not supported", std::string(field) + " is not enforced");
        }
    }
    for (const std::string_view field : {"ipRanges", "infinibandGUID", "deviceID"})
        if (asked(config, field) != nullptr) return refuse(Answer(2), field_of(field) + ": not supported");
    return {};
}

}  // namespace

Outcome<RuntimeConfig> parse_runtime_config(const json::Value& config, std::string_view wished) {
    const json::Value* whole = json::find(config, {"runtimeConfig"});
    if (whole != nullptr && !whole->is_null() && !whole->is_object())
        return refuse(Answer::invalid_config, "runtimeConfig: must be an object");
    RuntimeConfig runtime;
    TRY(check_the_rest(config));
    runtime.host_ports = TRY(parse_mappings(config));
    runtime.address = TRY(parse_ips(config));
    if (!wished.empty()) {
        const std::string address = TRY(parse_wish("CNI_ARGS: IP", wished));
        if (!runtime.address.empty() && runtime.address != address)
            return refuse(Answer::invalid_config, "CNI_ARGS: IP and runtimeConfig.ips differ");
        runtime.address = address;
    }
    return runtime;
}

}  // namespace weft::cni
