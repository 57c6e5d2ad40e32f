#include "cli/supervise.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/fd.h"
#include "base/stop_signals.h"
#include "base/strings.h"
#include "cli/progress.h"
#include "standalone/node_list.h"

namespace weft::cli {

using standalone::NodeSpec;

static constexpr Duration end_deadline = std::chrono::seconds(30);
static constexpr std::string_view default_node = "node-1=cn-local-a+cn-local-b";

// Remembered, so that a supervisor that takes over knows it too.
static std::string dns_file(const Instance& instance) { return instance.run_dir() + "/dns"; }

Result<standalone::SupervisorOptions> supervisor_options(const Instance& instance, const UpArgs& args) {
    const auto running = standalone::read_nodes(instance);
    const std::vector<NodeSpec> known = running ? *running : std::vector<NodeSpec>{};
    const auto parse = [&](const std::vector<std::string>& texts) { return standalone::parse_nodes(texts, known); };
    standalone::SupervisorOptions options{.instance = instance, .self_binary = args.self_binary, .dns = args.dns};
    if (!args.nodes.empty()) options.nodes = TRY(parse(args.nodes));
    else if (running) options.nodes = known;  // also when its supervisor was killed
    else options.nodes = TRY(parse({std::string(default_node)}));
    if (options.dns == protocol::DnsOptions{})
        if (const auto text = read_file(dns_file(instance))) options.dns = protocol::DnsOptions::parse(*text);
    TRY(options.dns.check());
    options.cni_binary = (std::filesystem::path(args.self_binary).parent_path() / "weft-cni").string();
    return options;
}

static bool is_among(const NodeSpec& node, const std::vector<NodeSpec>& nodes) {
    return std::any_of(nodes.begin(), nodes.end(), [&](const NodeSpec& other) {
        return other.name == node.name && other.number == node.number && other.zones == node.zones;
    });
}

Status stop_supervisor(const Instance& instance) {
    const std::string file = standalone::supervisor_pid_file(instance);
    if (const int pid = standalone::living_pid(file); pid != 0) ::kill(pid, SIGTERM);
    return wait_until(end_deadline, [&]() -> Status {
        if (standalone::living_pid(file) == 0) return {};
        return fail(Code::timeout, "the supervisor does not end");
    });
}

Status start_supervisor(const standalone::SupervisorOptions& options) {
    const Instance& instance = options.instance;
    if (standalone::living_pid(standalone::supervisor_pid_file(instance)) != 0) {
        const std::vector<NodeSpec> running = TRY(standalone::read_nodes(instance));
        for (const NodeSpec& node : running)
            if (!is_among(node, options.nodes))
                return fail(Code::conflict, fmt::format("instance {} runs with other nodes: {}; first: weft down, or weft node remove {}",
                                                        instance.name(), standalone::nodes_text(running), node.name));
        if (running.size() == options.nodes.size()) return {};
        TRY(stop_supervisor(instance));  // more nodes join; all that runs goes on
    }
    const std::string cgroup2 = TRY(standalone::mount_file_systems(instance, options.nodes));
    standalone::ProcessSpec spec{.name = "supervisor",
                                 .arguments = {options.self_binary, "supervise", "--instance", instance.name()},
                                 .cgroup = instance.cgroup() + "/system"};
    for (const NodeSpec& node : options.nodes)
        spec.arguments.insert(spec.arguments.end(), {"--node", standalone::node_text(node)});
    const std::vector<std::string> dns = options.dns.arguments();
    spec.arguments.insert(spec.arguments.end(), dns.begin(), dns.end());
    TRY(write_file(dns_file(instance), options.dns.text()));
    TRY(standalone::write_nodes(instance, options.nodes));
    TRY(standalone::Process::start(instance, spec, cgroup2));
    return {};
}

int supervise(const Common& common, const UpArgs& args) {
    const auto instance = Instance::parse(common.instance);
    if (!instance) return report(instance.error());
    const auto options = supervisor_options(*instance, args);
    if (!options) return report(options.error());
    const Status status = standalone::supervise(*options, stop_on_signals());
    if (!status) return report(status.error());
    return 0;
}

}  // namespace weft::cli
