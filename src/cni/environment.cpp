#include "cni/environment.h"

#include "base/strings.h"

namespace weft::cni {
namespace {

constexpr std::string_view letters_and_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
constexpr size_t name_max = 255;
constexpr size_t ifname_max = 15;

bool is_ifname(std::string_view text) {
    return !text.empty() && text.size() <= ifname_max && text != "." && text != ".." &&
           text.find_first_of("/: \t\n\r\v\f") == text.npos;
}

Outcome<void> parse_args(std::string_view text, Environment& environment) {
    if (text.empty()) return {};
    for (const std::string_view pair : split(text, ';')) {
        if (pair.empty()) continue;
        const size_t equals = pair.find('=');
        if (equals == pair.npos || equals == 0)
            return refuse(Answer::bad_environment, "CNI_ARGS: \"" + std::string(pair) + "\" is not KEY=VALUE");
        const std::string_view key = pair.substr(0, equals);
        const std::string value(pair.substr(equals + 1));
        if (key == "K8S_POD_NAMESPACE") environment.pod_namespace = value;
        if (key == "K8S_POD_NAME") environment.pod_name = value;
        if (key == "K8S_POD_UID") environment.pod_uid = value;
        if (key == "IP") environment.wished_address = value;
        if (key == "MAC") return refuse(Answer::bad_environment, "CNI_ARGS: MAC cannot be chosen by the caller");
    }
    return {};
}

}  // namespace

bool is_container_id(std::string_view text) {
    if (text.empty() || text.size() > name_max) return false;
    if (letters_and_digits.find(text.front()) == letters_and_digits.npos) return false;
    for (const char c : text)
        if (letters_and_digits.find(c) == letters_and_digits.npos && c != '_' && c != '.' && c != '-') return false;
    return true;
}

Outcome<Environment> parse_environment(const std::function<std::string(const char*)>& get) {
    Environment environment;
    environment.command = get("CNI_COMMAND");
    const std::string& command = environment.command;
    if (command.empty()) return refuse(Answer::bad_environment, "required env variables [CNI_COMMAND] missing");
    if (command == "VERSION") return environment;
    if (command == "STATUS" || command == "GC") return environment;  // of the whole network: nothing per attachment
    if (command != "ADD" && command != "DEL" && command != "CHECK")
        return refuse(Answer::bad_environment, "unknown CNI_COMMAND: " + command);

    environment.container_id = get("CNI_CONTAINERID");
    environment.netns = get("CNI_NETNS");
    environment.ifname = get("CNI_IFNAME");
    environment.netns_override = !get("CNI_NETNS_OVERRIDE").empty();

    std::string missing;
    const auto require = [&](std::string_view name, const std::string& value) {
        if (value.empty()) missing += (missing.empty() ? "" : ",") + std::string(name);
    };
    require("CNI_CONTAINERID", environment.container_id);
    if (command != "DEL") require("CNI_NETNS", environment.netns);
    require("CNI_IFNAME", environment.ifname);
    const std::string args = get("CNI_ARGS");
    TRY(parse_args(args, environment));
    if (command == "ADD" && (environment.pod_namespace.empty() || environment.pod_name.empty()))
        require("CNI_ARGS(K8S_POD_NAMESPACE and K8S_POD_NAME)", "");
    if (!missing.empty()) return refuse(Answer::bad_environment, "required env variables [" + missing + "] missing");

    if (!is_container_id(environment.container_id))
        return refuse(Answer::bad_environment, "CNI_CONTAINERID: invalid characters",
                      "must match [A-Za-z0-9][A-Za-z0-9_.-]*");
    if (!is_ifname(environment.ifname))
        return refuse(Answer::bad_environment, "CNI_IFNAME: not an interface name",
                      "1 to 15 characters, not \".\" or \"..\", without \"/\", \":\" and white space");
    return environment;
}

}  // namespace weft::cni
