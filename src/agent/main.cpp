#include "agent/main.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "agent/announcing.h"
#include "agent/cni_ear.h"
#include "agent/conntrack_sweep.h"
#include "agent/health_ports.h"
#include "agent/node_health.h"
#include "agent/listening.h"
#include "agent/overlay.h"
#include "agent/port_watch.h"
#include "agent/reconcilers.h"
#include "agent/self.h"
#include "agent/tables.h"
#include "agent/uplink_note.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/health.h"
#include "kernel/bpf_object.h"
#include "kernel/cgroup.h"
#include "kernel/cgroup_link.h"
#include "kernel/tc.h"
#include "protocol/conflist.h"

namespace weft::agent {
namespace {

constexpr auto sweep_period = std::chrono::seconds(15);
constexpr int loopback_ifindex = 1;  // in every namespace

// Maps and programs, and the socket programs on the node's own cgroup: they serve its pods and the programs run on the
// node itself, and touch nothing else of the machine. Adopted where they are there already.
Result<kernel::BpfObject> install_data_plane(const Options& options) {
    TRY(kernel::mount_bpf_filesystem(options.instance.bpf_mount()));
    kernel::BpfObject object = TRY_IN("data plane", kernel::BpfObject::install(options.instance.bpf_dir(options.node)));
    const std::string mount = TRY(kernel::find_cgroup2());
    const std::string node = options.instance.node_cgroup(options.node);
    TRY(kernel::create_cgroup(mount, node));
    TRY_IN("socket programs",
           kernel::attach_socket_programs(object, options.instance.bpf_dir(options.node), mount + "/" + node));
    return object;
}

Status attach_wire(const Uplink& uplink, const kernel::BpfObject& object) {
    kernel::Netlink netlink = TRY(kernel::Netlink::open());
    TRY_IN("attach uplink_ingress", kernel::attach_filter(netlink, int(uplink.ifindex), kernel::Direction::ingress,
                                                          object.program(kernel::ProgramName::uplink_ingress)));
    for (const int ifindex : {int(uplink.ifindex), loopback_ifindex})
        TRY_IN("attach uplink_egress", kernel::attach_filter(netlink, ifindex, kernel::Direction::egress,
                                                             object.program(kernel::ProgramName::uplink_egress)));
    TRY_IN("attach tunnel_ingress",
           kernel::attach_filter(netlink, int(uplink.tunnel_ifindex), kernel::Direction::ingress,
                                 object.program(kernel::ProgramName::tunnel_ingress)));
    return {};
}

std::string drop_lines(const kernel::NodeMaps& maps) {
    const auto drops = kernel::read_drops(maps);
    if (!drops) return {};
    std::string text =
        "# HELP weft_drops_total Packets that did not go on, by reason and place.\n# TYPE weft_drops_total counter\n";
    std::string bytes =
        "# HELP weft_dropped_bytes_total Bytes of those packets.\n# TYPE weft_dropped_bytes_total counter\n";
    for (const kernel::DropCount& drop : *drops) {
        const std::string labels =
            fmt::format("{{reason=\"{}\",hook=\"{}\"}}", abi::drop_reason_name(drop.reason), abi::hook_name(drop.hook));
        text += fmt::format("weft_drops_total{} {}\n", labels, drop.packets);
        bytes += fmt::format("weft_dropped_bytes_total{} {}\n", labels, drop.bytes);
    }
    return text + bytes;
}

// Collectors stay for the life of the process; the maps may go before (tests): hence weak.
void show_drops(const std::shared_ptr<kernel::BpfObject>& object) {
    metrics::add_collector([weak = std::weak_ptr(object)]() -> std::string {
        const auto alive = weak.lock();
        return alive ? drop_lines(alive->maps()) : std::string();
    });
}

// A thread that does it again and again.
std::jthread every(Duration period, std::function<void()> act) {
    return std::jthread([period, act = std::move(act)](std::stop_token stop) {
        std::mutex mutex;
        std::condition_variable_any never;
        std::unique_lock lock(mutex);
        while (!never.wait_for(lock, stop, period, [&] { return stop.stop_requested(); })) act();
    });
}

void sweep_all(kernel::NodeMaps& maps) {
    for (const auto& [name, map] :
         {std::pair{"established", maps.ct_established.get()}, std::pair{"half_open", maps.ct_half_open.get()}}) {
        const auto swept = sweep(*map, abi::now_s());
        if (!swept) {
            log::warning("conntrack sweep", {{"map", name}, {"error", swept.error().message}});
            continue;
        }
        metrics::gauge("weft_conntrack_entries", {{"map", name}}, "Connections remembered.")
            .set(int64_t(swept->left));
        metrics::counter("weft_conntrack_expired_total", {{"map", name}}, "Entries swept.").add(swept->expired);
        if (map != maps.ct_established.get()) continue;
        Status counted = recount(*maps.ct_held, swept->held);
        if (counted) counted = recount(*maps.ct_vpc_held, swept->vpc_held);
        if (!counted)
            log::warning("conntrack quotas", {{"error", counted.error().message}});
    }
}

// CNI-50: from now on a runtime that looks for a network finds us.
void install_configuration(const Options& options) {
    const std::string folder = options.cni_folder.empty()
                                   ? options.instance.node_run_dir(options.node) + "/cni"
                                   : options.cni_folder;
    const Status installed = protocol::cni::install_conflist(folder, options.instance.agent_socket(options.node));
    if (!installed) log::error("CNI configuration", {{"folder", folder}, {"error", installed.error().message}});
    if (const std::string other = protocol::cni::conflist_in_front(folder); !other.empty())
        log::warning("another CNI configuration comes before ours", {{"folder", folder}, {"file", other}});
}

Result<AllocationLog> open_log(const Options& options) {
    const std::string id = TRY(boot_id());
    return AllocationLog::open(options.instance.node_run_dir(options.node) + "/allocations.log", id);
}

}  // namespace

Status run(const Options& options, kube::Client& client, std::stop_token stop) {
    map_writes();  // both counters stand in /metrics from the start: a restart that changes nothing shows 0
    metrics::counter("weft_netlink_changes_total");
    const Instance& instance = options.instance;
    TRY(make_directories(instance.node_run_dir(options.node), 0700));
    // Two would give the same addresses and write the same maps.
    const Fd lock = TRY_IN("another agent on this node", lock_file(instance.node_run_dir(options.node) + "/agent.lock"));
    Uplink uplink = TRY(find_uplink(options.uplink));
    uplink.tunnel_ifindex = TRY_IN("tunnel", ensure_tunnel(uplink));
    const auto object = std::make_shared<kernel::BpfObject>(TRY(install_data_plane(options)));
    Tables tables(object->maps());
    TRY_IN("read maps", tables.load());
    AllocationLog log = TRY(open_log(options));
    const auto wiring = TRY(KernelWiring::create(object->program(kernel::ProgramName::pod_egress)));

    const auto brain = kube::Brain::create(client);
    Reconcilers reconcilers(*brain, instance, options.node, uplink, tables, log, *wiring);
    reconcilers.on_ready([&options] { install_configuration(options); });
    const auto wire = TRY(kernel::ArpWire::open(options.uplink, uplink.ifindex, uplink.mac, uplink.address));
    Announcer announcer(options.node, uplink.mac, tables, *wire);
    add_announcing(*brain, reconcilers.view(), announcer);
    kernel::MulticastGroups groups = TRY(kernel::MulticastGroups::open(uplink.ifindex));
    add_listening(*brain, tables, groups);
    count_pods(*brain, reconcilers.view());
    KernelUnderlay underlay = TRY(KernelUnderlay::open(uplink));
    Overlay overlay(reconcilers.view(), brain->watch(kube::nodes), tables, uplink.mtu, underlay);
    add_overlay(*brain, reconcilers.view(), overlay);
    UplinkNote note(client, options.node, uplink.mtu);
    add_uplink_note(*brain, reconcilers.view(), note);
    HealthPorts health_ports(
        uplink.address, [&] { return reconcilers.is_ready(); },
        [&](const kube::ObjectKey& key, std::string_view message) { reconcilers.complain(key, "FailedToStartServiceHealthcheck", message); });
    add_health_ports(*brain, reconcilers.view(), health_ports);
    PortWatch port_watch(listening_here, [&](const kube::ObjectKey& key, std::string_view message) {
        reconcilers.complain(key, "NodePortInUse", message);
    });
    add_port_watch(*brain, reconcilers.view(), port_watch);
    NodeHealth node_health(uplink.address, node_health_port);
    add_node_health(*brain, reconcilers.view(), node_health, [&] { return reconcilers.services_failing_since(); });
    TRY(reconcilers.host().put_node_row());
    TRY(attach_wire(uplink, *object));
    show_drops(object);

    const auto ear = TRY(CniEar::listen(
        instance.agent_socket(options.node),
        [&](const protocol::cni::Request& request, EndpointService::Respond respond) {
            reconcilers.ask(request, std::move(respond));
        },
        [&](const std::string& host_link) { return wiring->disconnect(host_link); }));
    const auto health =
        TRY(http::serve_health(instance.node_run_dir(options.node) + "/agent.health.sock", [&]() -> Status {
            if (!reconcilers.is_ready()) return fail(Code::unavailable, "the API has not been heard in full yet");
            return {};
        }));
    const std::jthread sweeper = every(sweep_period, [&] { sweep_all(object->maps()); });
    log::info("agent runs", {{"uplink", options.uplink}, {"address", uplink.address.text()}});
    // A node whose uplink changed is another node to everything above: begin anew, which leaves all connections alone.
    std::stop_source work;
    const std::stop_callback forward(stop, [&work] { work.request_stop(); });
    // By a thread, not by the brain: that waits for the API, and IPsec does not.
    const std::jthread uplink_watch = every(uplink_check_period, [&] {
        if (has_changed(options.uplink, uplink)) work.request_stop();
    });
    const std::shared_ptr<void> shown = show_node(uplink, *brain);
    brain->run(work.get_token());
    if (stop.stop_requested()) return {};
    return fail(Code::unavailable, "the uplink has changed: starting again");
}

Status run(const Options& options, std::stop_token stop) {
    const std::unique_ptr<kube::Client> client = kube::connect(options.api);
    return run(options, *client, stop);
}

}  // namespace weft::agent
