#include "cli/node_view.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstring>
#include <thread>

#include "base/clock.h"
#include "base/strings.h"
#include "cli/ask.h"
#include "kernel/abi.h"
#include "standalone/node_list.h"

namespace weft::cli {

static constexpr uint16_t closed_port = 9;  // "discard": a refusal is an answer too

// One line of a metric: its labels and its value.
struct Sample {
    std::string_view labels, value;
};

static std::vector<Sample> samples(std::string_view metrics, std::string_view name) {
    std::vector<Sample> found;
    for (const std::string_view line : split(metrics, '\n')) {
        if (!line.starts_with(name) || line.size() == name.size()) continue;
        const std::string_view rest = line.substr(name.size());
        if (rest[0] != '{' && rest[0] != ' ') continue;
        const size_t space = rest.rfind(' ');
        found.push_back({rest.substr(0, space), rest.substr(space + 1)});
    }
    return found;
}

static std::string_view label(std::string_view labels, std::string_view name) {
    const size_t at = labels.find(std::string(name) + "=\"");
    if (at == std::string_view::npos) return {};
    const std::string_view rest = labels.substr(at + name.size() + 2);
    return rest.substr(0, rest.find('"'));
}

// A non-blocking connection from where `internet` is; by another thread, for a thread's namespace is its own.
static std::vector<Fd> knock(const Instance& instance, const std::vector<net::Address>& addresses) {
    std::vector<Fd> sockets;
    std::thread([&] {
        const Fd netns(::open(Instance::netns_path(instance.internet_netns()).c_str(), O_RDONLY | O_CLOEXEC));
        const bool is_there = netns && setns(netns.get(), CLONE_NEWNET) == 0;
        for (const net::Address& address : addresses) {
            Fd fd(is_there ? ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1);
            sockaddr_in to{};
            to.sin_family = AF_INET;
            to.sin_port = htons(closed_port);
            std::memcpy(&to.sin_addr, address.bytes.data() + 12, 4);
            if (fd) (void)::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
            sockets.push_back(std::move(fd));
        }
    }).join();
    return sockets;
}

static bool has_answered(const Fd& socket) {
    int error = 0;
    socklen_t size = sizeof error;
    if (!socket || getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) < 0) return false;
    return error == 0 || error == ECONNREFUSED;
}

static std::vector<bool> reachable(const Instance& instance, const std::vector<net::Address>& addresses) {
    const std::vector<Fd> sockets = knock(instance, addresses);
    std::vector<pollfd> waits;
    for (const Fd& socket : sockets) waits.push_back({socket ? socket.get() : -1, POLLOUT, 0});
    std::vector<bool> answered(sockets.size(), false);
    const MonotonicTime deadline = system_clock().now() + answer_wait;
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - system_clock().now()).count();
        if (left <= 0 || ::poll(waits.data(), nfds_t(waits.size()), int(left)) <= 0) return answered;
        bool waiting = false;
        for (size_t i = 0; i < waits.size(); ++i) {
            if (waits[i].fd >= 0 && waits[i].revents != 0) {
                answered[i] = has_answered(sockets[i]);
                waits[i].fd = -1;
            }
            waiting = waiting || waits[i].fd >= 0;
        }
        if (!waiting) return answered;
    }
}

static void add_metrics(json::Object& node, std::string_view metrics) {
    uint64_t drops = 0;
    for (const Sample& sample : samples(metrics, "weft_drops_total"))
        if (!abi::is_noise(label(sample.labels, "reason"))) drops += parse_unsigned(sample.value).value_or(0);
    node["drops"] = drops;
    for (const Sample& sample : samples(metrics, "weft_node_info")) {
        if (!label(sample.labels, "address").empty()) node["address"] = label(sample.labels, "address");
        node["dataPlaneVersion"] = parse_unsigned(label(sample.labels, "data_plane")).value_or(0);
    }
    for (const Sample& sample : samples(metrics, "weft_uplink_mtu_bytes"))
        node["mtu"] = parse_unsigned(sample.value).value_or(0);
    for (const Sample& sample : samples(metrics, "weft_sync_age_seconds"))
        node["syncAgeSeconds"] = std::atof(std::string(sample.value).c_str());
    for (const Sample& sample : samples(metrics, "weft_announced_addresses"))
        node["announces"] = parse_unsigned(sample.value).value_or(0);
}

Result<json::Array> nodes_view(const Instance& instance) {
    std::vector<json::Object> nodes;
    std::vector<net::Address> addresses;
    for (const standalone::NodeSpec& spec : TRY(standalone::read_nodes(instance))) {
        json::Object node;
        const std::string& name = spec.name;
        node["name"] = name;
        node["address"] = standalone::underlay_address(spec).text();
        if (const auto metrics = ask_process(instance.node_run_dir(name) + "/agent.health.sock", "/metrics"))
            add_metrics(node, *metrics);
        addresses.push_back(net::Address::parse(json::view(node["address"].get_string())).value_or(net::Address{}));
        nodes.push_back(std::move(node));
    }
    const std::vector<bool> answers = reachable(instance, addresses);
    json::Array view;
    for (size_t i = 0; i < nodes.size(); ++i) {
        nodes[i]["reachable"] = bool(answers[i]);
        view.emplace_back(std::move(nodes[i]));
    }
    return view;
}

Table nodes_table(const json::Array& nodes) {
    Table table{{"NODE", "ADDRESS", "REACHABLE", {"MTU", Align::right}, {"DROPS", Align::right},
                 {"DATA PLANE", Align::right}, {"SYNC AGE", Align::right}, {"ANNOUNCES", Align::right}}, {}};
    for (const json::Value& node : nodes) {
        const auto number = [&](std::string_view name) {
            return json::has(node, {name}) ? std::to_string(json::find_int(node, {name})) : std::string("?");
        };
        const json::Value* const age = json::find(node, {"syncAgeSeconds"});
        table.rows.push_back({std::string(json::find_string(node, {"name"})),
                              std::string(json::find_string(node, {"address"})),
                              json::find_bool(node, {"reachable"}) ? "yes" : "NO", number("mtu"), number("drops"),
                              number("dataPlaneVersion"),
                              age != nullptr && age->is_double() ? fmt::format("{:.1f} s", age->get_double()) : "?",
                              number("announces")});
    }
    return table;
}

}  // namespace weft::cli
