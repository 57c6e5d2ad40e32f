#include "agent/port_watch.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "base/fd.h"
#include "base/json.h"
#include "base/strings.h"

namespace weft::agent {
namespace {

const kube::ObjectKey all_ports{"", "port_watch"};
constexpr Duration now_and_then = std::chrono::seconds(15);
constexpr std::string_view tcp_listen = "0A", udp_unconnected = "07";

// "0100007F", "00000000000000000000000001000000": the words of an address as the CPU has them.
bool is_loopback(std::string_view hex) {
    if (hex.size() == 8) return hex.substr(6) == "7F";
    return hex == "00000000000000000000000001000000" ||
           (hex.starts_with("0000000000000000FFFF0000") && hex.ends_with("7F"));
}

// A row is "  0: 00000000:1F90 00000000:0000 0A ...": local end, remote end, state.
std::optional<uint16_t> port_taken_by(std::string_view row, std::string_view state) {
    std::vector<std::string_view> words;
    for (const std::string_view word : split(row, ' '))
        if (!word.empty()) words.push_back(word);
    if (words.size() < 4 || words[3] != state) return std::nullopt;
    const size_t colon = words[1].find(':');
    if (colon == std::string_view::npos || is_loopback(words[1].substr(0, colon))) return std::nullopt;
    uint16_t port = 0;
    const std::string_view digits = words[1].substr(colon + 1);
    const auto parsed = std::from_chars(digits.begin(), digits.end(), port, 16);
    return parsed.ec == std::errc() && parsed.ptr == digits.end() ? std::optional(port) : std::nullopt;
}

}  // namespace

std::set<NodePort> listening_in(std::string_view table, net::Protocol protocol) {
    std::set<NodePort> ports;
    for (const std::string_view row : split(table, '\n'))
        if (const auto port = port_taken_by(row, protocol == net::Protocol::tcp ? tcp_listen : udp_unconnected))
            ports.emplace(protocol, *port);
    return ports;
}

std::set<NodePort> listening_here() {
    std::set<NodePort> ports;
    for (const auto& [file, protocol] : {std::pair{"tcp", net::Protocol::tcp},
                                         {"tcp6", net::Protocol::tcp},
                                         {"udp", net::Protocol::udp},
                                         {"udp6", net::Protocol::udp}})
        if (const auto table = read_file(std::string("/proc/self/net/") + file))
            ports.merge(listening_in(*table, protocol));
    return ports;
}

std::set<NodePort> node_ports_of(const kube::Object& service) {
    std::set<NodePort> ports;
    if (service.deleting()) return ports;
    for (const json::Value& entry : service.array({"spec", "ports"})) {
        const int64_t number = json::find_int(entry, {"nodePort"});
        const auto protocol = net::parse_protocol(json::find_string(entry, {"protocol"}, "TCP"));
        if (protocol && number > 0 && number <= UINT16_MAX) ports.emplace(*protocol, uint16_t(number));
    }
    return ports;
}

void PortWatch::look(const std::map<kube::ObjectKey, std::set<NodePort>>& services) {
    if (services.empty()) {
        told_.clear();
        return;
    }
    const std::set<NodePort> listening = read_();
    std::set<std::pair<kube::ObjectKey, NodePort>> conflicts;
    for (const auto& [service, ports] : services)
        for (const NodePort& port : ports)
            if (listening.contains(port)) conflicts.emplace(service, port);
    for (const auto& conflict : conflicts) {
        if (told_.contains(conflict)) continue;
        const auto& [protocol, port] = conflict.second;
        complain_(conflict.first, fmt::format("nodePort {}/{}: a program of the node listens there too; the nodePort "
                                              "wins, nobody reaches the program",
                                              port, net::protocol_name(protocol)));
    }
    told_ = std::move(conflicts);
}

void add_port_watch(kube::Brain& brain, const View& view, PortWatch& watch) {
    auto& queue = brain.add_reconciler("port_watch", [&](const kube::ObjectKey&) {
        std::map<kube::ObjectKey, std::set<NodePort>> services;
        view.services.for_each([&](const kube::ObjectPtr& service) {
            if (auto ports = node_ports_of(*service); !ports.empty())
                services.emplace(service->key(), std::move(ports));
        });
        watch.look(services);
        return services.empty() ? kube::Outcome::done() : kube::Outcome::again(now_and_then);
    });
    brain.on_change(view.services, [&queue](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        const auto ports_of = [](const kube::ObjectPtr& side) {
            return side ? node_ports_of(*side) : std::set<NodePort>();
        };
        if (ports_of(before) != ports_of(after)) queue.add(all_ports);
    });
}

}  // namespace weft::agent
