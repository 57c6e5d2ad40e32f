// Config: the network configuration on stdin as validated values; nobody past this sees its JSON.
//
// Errors carry the standard's codes and name the field: 6 not JSON, 1 version, 7 invalid value, 2 a field that asks for
// what we do not do. Fields that we do not know pass. Limits: config_bytes_max. Source: spec/kubernetes.md §9.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cni/failure.h"
#include "cni/runtime_config.h"

namespace weft::cni {

inline constexpr size_t config_bytes_max = 1024 * 1024;
inline constexpr unsigned mtu_min = 1280, mtu_max = 9000;
inline constexpr std::array<std::string_view, 5> supported_versions{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

// What CHECK compares: the part of the last ADD's result that is ours to answer for.
struct PreviousResult {
    std::vector<std::string> addresses;  // without their length
    std::string mac;                     // of CNI_IFNAME; "" when it is not listed
    std::string host_link;               // the first interface without a sandbox
};

struct Config {
    std::string version;
    std::string name;
    std::string agent_socket;
    unsigned mtu = 0;  // 0 = the node's
    bool has_previous = false;
    PreviousResult previous;
    std::vector<protocol::cni::Attachment> valid_attachments;  // of GC
    std::string ipam_type;  // a plugin's name; "" = addresses are the agent's choice
    RuntimeConfig runtime;  // of ADD
    json::Value dns;  // an object, printed back unchanged; null = none
};

// `wished_address`: IP of CNI_ARGS.
Outcome<Config> parse_config(std::string_view text, std::string_view command, std::string_view ifname,
                             std::string_view wished_address = {});

// The version to answer in when the configuration itself cannot be read: its own, if that much is legible.
std::string version_for_errors(std::string_view text);

}  // namespace weft::cni
