// Environment: the CNI_* variables of one call as validated values. Errors: code 4, naming every variable that is
// missing or the one that is wrong. Source: spec/kubernetes.md CNI-1..3.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "cni/failure.h"

namespace weft::cni {

struct Environment {
    std::string command;  // ADD, DEL, CHECK, STATUS, GC, VERSION
    std::string container_id;
    std::string netns;
    std::string ifname;
    bool netns_override = false;
    // From CNI_ARGS; unknown keys are ignored.
    std::string pod_namespace;
    std::string pod_name;
    std::string pod_uid;
    std::string wished_address;  // IP
};

// `get` gives a variable's value, "" when unset.
Outcome<Environment> parse_environment(const std::function<std::string(const char*)>& get);

bool is_container_id(std::string_view text);  // [A-Za-z0-9][A-Za-z0-9_.-]*; network names follow the same rule

}  // namespace weft::cni
