#include "cni/result.h"

#include <algorithm>

namespace weft::cni {
namespace {

constexpr std::string_view newest_version = supported_versions.back();

bool knows_mtu(std::string_view version) { return version >= "1.1.0"; }

bool needs_ip_version(std::string_view version) { return version < "1.0.0"; }

json::Object ip_json(const Config& config, const std::string& address, const std::string& gateway, const char* family) {
    json::Object ip{{"address", address}, {"gateway", gateway}, {"interface", 1}};
    if (needs_ip_version(config.version)) ip["version"] = family;
    return ip;
}

json::Object route_json(const Config& config, const protocol::cni::Wired& wired, std::string_view destination,
                        const std::string& gateway) {
    json::Object route{{"dst", destination}, {"gw", gateway}};
    if (knows_mtu(config.version)) route["mtu"] = int64_t(wired.mtu);
    return route;
}

}  // namespace

std::string result_json(const Config& config, const protocol::cni::Wired& wired, std::string_view ifname,
                        std::string_view netns) {
    json::Object host{{"name", wired.host_link}, {"mac", wired.host_mac}};
    json::Object inside{{"name", ifname}, {"mac", wired.mac}, {"sandbox", netns}};
    if (knows_mtu(config.version)) {
        host["mtu"] = int64_t(wired.mtu);
        inside["mtu"] = int64_t(wired.mtu);
    }
    json::Array ips{ip_json(config, wired.address + "/32", wired.gateway, "4")};
    json::Array routes{route_json(config, wired, "0.0.0.0/0", wired.gateway)};
    if (!wired.ipv6.empty()) {
        ips.push_back(ip_json(config, wired.ipv6 + "/128", wired.ipv6_gateway, "6"));
        routes.push_back(route_json(config, wired, "::/0", wired.ipv6_gateway));
    }
    json::Object result{{"cniVersion", config.version},
                        {"interfaces", json::Array{std::move(host), std::move(inside)}},
                        {"ips", std::move(ips)},
                        {"routes", std::move(routes)},
                        {"dns", config.dns.is_object() ? config.dns : json::Value(json::Object{})}};
    return json::serialize(result);
}

std::string version_json() {
    json::Array supported;
    for (const std::string_view version : supported_versions) supported.emplace_back(version);
    return json::serialize(json::Object{{"cniVersion", newest_version}, {"supportedVersions", std::move(supported)}});
}

std::string error_json(std::string_view version, const Failure& failure) {
    json::Object error{{"cniVersion", version}, {"code", int(failure.code)}, {"msg", failure.message}};
    if (!failure.details.empty()) error["details"] = failure.details;
    return json::serialize(error);
}

Outcome<void> compare(const PreviousResult& previous, const protocol::cni::Wired& wired) {
    for (const std::string& address : {wired.address, wired.ipv6}) {
        const bool is_there = std::find(previous.addresses.begin(), previous.addresses.end(), address) !=
                              previous.addresses.end();
        if (!address.empty() && !is_there)
            return refuse(Answer::check_difference, "address " + address + " is not in prevResult.ips");
    }
    if (!previous.mac.empty() && previous.mac != wired.mac)
        return refuse(Answer::check_difference, "MAC is " + wired.mac + ", prevResult says " + previous.mac);
    if (!previous.host_link.empty() && previous.host_link != wired.host_link)
        return refuse(Answer::check_difference,
                      "host side is " + wired.host_link + ", prevResult says " + previous.host_link);
    return {};
}

}  // namespace weft::cni
