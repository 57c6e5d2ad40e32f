#include "cni/config.h"

#include <algorithm>

#include "cni/environment.h"

namespace weft::cni {
namespace {

constexpr size_t socket_path_max = 107;  // sockaddr_un
constexpr std::string_view version_without_config = "1.0.0";
constexpr std::string_view version_when_absent = "0.1.0";  // what the standard says of a missing cniVersion

bool is_supported(std::string_view version) {
    return std::find(supported_versions.begin(), supported_versions.end(), version) != supported_versions.end();
}

std::string supported_list() {
    std::string list;
    for (const std::string_view version : supported_versions) list += (list.empty() ? "" : ", ") + std::string(version);
    return list;
}

Outcome<std::string> text_field(const json::Value& config, std::string_view name) {
    const json::Value* value = json::find(config, {name});
    if (value == nullptr || value->is_null()) return std::string();
    if (!value->is_string()) return refuse(Answer::invalid_config, std::string(name) + ": must be a string");
    return std::string(json::view(value->get_string()));
}

Outcome<void> check_version(const json::Value& config, std::string_view command, std::string& version) {
    version = TRY(text_field(config, "cniVersion"));
    if (version.empty()) version = version_when_absent;
    if (!is_supported(version))
        return refuse(Answer::incompatible_version, "incompatible CNI versions",
                      "config is \"" + version + "\", plugin supports [" + supported_list() + "]");
    if (command == "CHECK" && version < "0.4.0")
        return refuse(Answer::incompatible_version, "config version does not allow CHECK", "config is " + version);
    if ((command == "STATUS" || command == "GC") && version < "1.1.0")
        return refuse(Answer::incompatible_version, "config version does not allow " + std::string(command),
                      "config is " + version);
    return {};
}

// Missing and empty differ: who sends no list does not say that nothing is in use.
Outcome<std::vector<protocol::cni::Attachment>> parse_valid_attachments(const json::Value& config) {
    const json::Value* value = json::find(config, {"cni.dev/valid-attachments"});
    if (value == nullptr) value = json::find(config, {"cni.dev/attachments"});  // before 1.1.0 was final
    if (value == nullptr || !value->is_array())
        return refuse(Answer::invalid_config, "cni.dev/valid-attachments: must be a list", "nothing was removed");
    std::vector<protocol::cni::Attachment> valid;
    for (const json::Value& entry : value->get_array()) {
        const std::string_view container = json::find_string(entry, {"containerID"});
        const std::string_view ifname = json::find_string(entry, {"ifname"});
        if (container.empty() || ifname.empty())
            return refuse(Answer::invalid_config,
                          "cni.dev/valid-attachments: each needs containerID and ifname", "nothing was removed");
        valid.push_back({std::string(container), std::string(ifname)});
    }
    return valid;
}

Outcome<std::string> parse_ipam_type(const json::Value& config) {
    const json::Value* ipam = json::find(config, {"ipam"});
    if (ipam == nullptr || ipam->is_null()) return std::string();
    if (!ipam->is_object()) return refuse(Answer::invalid_config, "ipam: must be an object");
    if (ipam->get_object().empty()) return std::string();
    const std::string type(json::find_string(*ipam, {"type"}));
    if (!is_container_id(type)) return refuse(Answer::invalid_config, "ipam.type: must be the name of a plugin");
    return type;
}

Outcome<unsigned> parse_mtu(const json::Value& config) {
    const json::Value* value = json::find(config, {"mtu"});
    if (value == nullptr || value->is_null()) return 0u;
    const int64_t mtu = value->is_int64() ? value->get_int64() : -1;
    if (mtu == 0) return 0u;
    if (mtu < int64_t(mtu_min) || mtu > int64_t(mtu_max))
        return refuse(Answer::invalid_config, "mtu: must be a number from 1280 to 9000, or 0 for the node's");
    return unsigned(mtu);
}

Outcome<PreviousResult> parse_previous(const json::Value& previous, std::string_view ifname) {
    PreviousResult result;
    if (!previous.is_object()) return refuse(Answer::invalid_config, "prevResult: must be an object");
    if (const json::Array* ips = json::find_array(previous, {"ips"})) {
        for (const json::Value& ip : *ips) {
            const std::string_view address = json::find_string(ip, {"address"});
            if (address.empty()) return refuse(Answer::invalid_config, "prevResult.ips[].address: must be a string");
            result.addresses.emplace_back(address.substr(0, address.find('/')));
        }
    }
    if (const json::Array* interfaces = json::find_array(previous, {"interfaces"})) {
        for (const json::Value& interface : *interfaces) {
            const std::string_view name = json::find_string(interface, {"name"});
            const bool inside = !json::find_string(interface, {"sandbox"}).empty();
            if (inside && name == ifname) result.mac = json::find_string(interface, {"mac"});
            if (!inside && result.host_link.empty()) result.host_link = name;
        }
    }
    return result;
}

}  // namespace

Outcome<Config> parse_config(std::string_view text, std::string_view command, std::string_view ifname,
                             std::string_view wished_address) {
    if (text.size() > config_bytes_max) return refuse(Answer::decode_failure, "configuration longer than 1 MiB");
    const Result<json::Value> parsed = json::parse(text);
    if (!parsed) return refuse(Answer::decode_failure, "configuration is not JSON", parsed.error().message);
    if (!parsed->is_object()) return refuse(Answer::decode_failure, "configuration is not a JSON object");
    const json::Value& json = *parsed;

    Config config;
    TRY(check_version(json, command, config.version));
    config.name = TRY(text_field(json, "name"));
    if (config.name.empty()) return refuse(Answer::invalid_config, "name: missing network name");
    if (!is_container_id(config.name))
        return refuse(Answer::invalid_config, "name: invalid characters", "must match [A-Za-z0-9][A-Za-z0-9_.-]*");
    config.agent_socket = TRY(text_field(json, "agentSocket"));
    if (config.agent_socket.empty() || config.agent_socket.front() != '/' ||
        config.agent_socket.size() > socket_path_max || config.agent_socket.find('\0') != std::string::npos)
        return refuse(Answer::invalid_config, "agentSocket: must be an absolute path of at most 107 bytes");
    config.mtu = TRY(parse_mtu(json));

    const json::Value* previous = json::find(json, {"prevResult"});
    config.has_previous = previous != nullptr && !previous->is_null();
    if (command == "ADD" && config.has_previous)
        return refuse(Answer::invalid_config,
                      "prevResult: this plugin makes the interface and must be first in the chain");
    if (command == "CHECK" && !config.has_previous)
        return refuse(Answer::invalid_config, "prevResult: CHECK needs the result of ADD");
    // DEL forgives: what the last result said no longer matters.
    if (command == "CHECK") config.previous = TRY(parse_previous(*previous, ifname));
    config.ipam_type = TRY(parse_ipam_type(json));
    if (command == "ADD") config.runtime = TRY(parse_runtime_config(json, wished_address));
    if (command == "GC") config.valid_attachments = TRY(parse_valid_attachments(json));
    if (const json::Object* dns = json::find_object(json, {"dns"})) config.dns = *dns;
    return config;
}

std::string version_for_errors(std::string_view text) {
    if (text.size() <= config_bytes_max) {
        if (const Result<json::Value> parsed = json::parse(text)) {
            const std::string_view version = json::find_string(*parsed, {"cniVersion"});
            if (is_supported(version)) return std::string(version);
        }
    }
    return std::string(version_without_config);
}

}  // namespace weft::cni
