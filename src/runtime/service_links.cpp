#include "runtime/service_links.h"

#include "base/strings.h"

namespace weft::runtime {

static std::string variable_name(std::string_view name) {
    std::string text(name);
    for (char& c : text) c = c == '-' ? '_' : c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c;
    return text;
}

static void add_links(const kube::Object& service, EnvironmentLines& lines) {
    const std::string address(service.string({"spec", "clusterIP"}));
    const json::Array& ports = service.array({"spec", "ports"});
    if (address.empty() || address == "None" || ports.empty()) return;
    const std::string prefix = variable_name(service.name());
    const std::string host = address.find(':') == std::string::npos ? address : "[" + address + "]";
    lines.emplace_back(prefix + "_SERVICE_HOST", address);
    bool first = true;
    for (const json::Value& port : ports) {
        const std::string number = std::to_string(json::find_int(port, {"port"}));
        const std::string protocol(json::find_string(port, {"protocol"}, "TCP"));
        const std::string url = fmt::format("{}://{}:{}", to_lower(protocol), host, number);
        if (std::exchange(first, false)) {
            lines.emplace_back(prefix + "_SERVICE_PORT", number);
            lines.emplace_back(prefix + "_PORT", url);
        }
        if (const std::string_view name = json::find_string(port, {"name"}); !name.empty())
            lines.emplace_back(prefix + "_SERVICE_PORT_" + variable_name(name), number);
        const std::string link = fmt::format("{}_PORT_{}_{}", prefix, number, protocol);
        lines.emplace_back(link, url);
        lines.emplace_back(link + "_PROTO", to_lower(protocol));
        lines.emplace_back(link + "_PORT", number);
        lines.emplace_back(link + "_ADDR", address);
    }
}

EnvironmentLines service_links(const std::vector<kube::ObjectPtr>& services) {
    EnvironmentLines lines;
    if (services.size() > service_links_max) return lines;
    for (const kube::ObjectPtr& service : services) add_links(*service, lines);
    return lines;
}

}  // namespace weft::runtime
