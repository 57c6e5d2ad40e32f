#include "agent/overlay.h"

#include <algorithm>
#include <set>

#include "agent/interface_ipv6.h"
#include "base/delta.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cloud/annotations.h"
#include "kernel/link.h"
#include "kernel/ownership.h"

namespace weft::agent {
namespace {

const kube::ObjectKey the_overlay{"", "overlay"};
// Larger than any packet: what may be cut is cut outside, by the kernel; what may not is refused before (lib/too_big.h).
constexpr unsigned tunnel_device_mtu = 65000;

json::Value part(const kube::Object& object, json::Path path) {
    const json::Value* const found = object.find(path);
    return found == nullptr ? json::Value() : *found;
}

std::optional<net::Address> annotated(const kube::Object& node, std::string_view annotation) {
    const auto address = net::Address::parse(node.annotation(annotation));
    return address ? std::optional(*address) : std::nullopt;
}

}  // namespace

Result<OtherNode> parse_other_node(const kube::Object& node) {
    OtherNode other{.name = std::string(node.name()), .underlay = {}, .neighbours = {}};
    for (const json::Value& entry : node.array({"status", "addresses"})) {
        if (json::find_string(entry, {"type"}) != "InternalIP") continue;
        const auto address = net::Address::parse(json::find_string(entry, {"address"}));
        if (address && address->is_v4()) {
            other.underlay = *address;
            break;
        }
    }
    if (other.underlay.is_unspecified())
        return fail(Code::invalid, "Node " + other.name + ": status.addresses: no InternalIP of IPv4");
    for (const std::string_view annotation : {cloud::service_address_annotation, cloud::host_address_annotation})
        if (const auto address = annotated(node, annotation); address && address->is_v4())
            other.neighbours.push_back(*address);
    return other;
}

NodeNumbers number_nodes(const std::vector<OtherNode>& nodes, const NodeNumbers& before,
                         const std::map<uint32_t, abi::remote_node>& rows) {
    NodeNumbers numbers;
    std::set<uint32_t> taken;
    const auto give = [&](const OtherNode& node, uint32_t number) {
        if (number != 0 && taken.insert(number).second) numbers[node.name] = number;
    };
    for (const OtherNode& node : nodes)
        if (const auto known = before.find(node.name); known != before.end()) give(node, known->second);
    for (const OtherNode& node : nodes) {
        if (numbers.contains(node.name)) continue;
        for (const auto& [number, row] : rows)
            if (row.underlay == abi::to_abi(node.underlay) && !numbers.contains(node.name)) give(node, number);
    }
    // A number whose row still stands is not given to another node: old locations may lead to it for a moment.
    uint32_t next = 1;
    for (const OtherNode& node : nodes) {
        if (numbers.contains(node.name)) continue;
        while (taken.contains(next) || rows.contains(next)) ++next;
        give(node, next);
    }
    return numbers;
}

std::map<uint32_t, abi::remote_node> desired_nodes(const std::vector<OtherNode>& nodes, const NodeNumbers& numbers,
                                                   unsigned uplink_mtu) {
    std::map<uint32_t, abi::remote_node> rows;
    for (const OtherNode& node : nodes)
        rows[numbers.at(node.name)] = {abi::to_abi(node.underlay), uplink_mtu - TUNNEL_OVERHEAD, 0};
    return rows;
}

std::optional<net::Prefix> ipv6_of_block(const cloud::VSwitch& vswitch, const net::Prefix& cidr) {
    const auto first = cloud::ipv6_of(vswitch, cidr.address);
    if (!first) return std::nullopt;
    const net::Prefix prefix{*first, cidr.bits128};  // as many addresses, and their places begin where theirs do
    return prefix;
}

std::map<abi::location_key, uint32_t> desired_locations(const std::vector<OtherNode>& nodes,
                                                        const NodeNumbers& numbers,
                                                        const std::vector<LeasedBlock>& blocks) {
    constexpr unsigned whole_address = 128;
    std::map<abi::location_key, uint32_t> rows;
    for (const OtherNode& node : nodes) {
        const uint32_t number = numbers.at(node.name);
        rows[abi::location_key_of(VPC_OUTSIDE, {node.underlay, whole_address})] = number;
        for (const net::Address& address : node.neighbours)
            for (const net::Address& family : {address, neighbour_ipv6(address)})
                rows[abi::location_key_of(LOCATION_EVERY_VPC, {family, whole_address})] = number;
    }
    for (const LeasedBlock& block : blocks)
        if (const auto number = numbers.find(block.node); number != numbers.end())
            rows[abi::location_key_of(block.vni, block.cidr)] = number->second;
    return rows;
}

Result<uint32_t> ensure_tunnel(const Uplink& uplink) {
    const std::string name(kernel::tunnel_link);
    kernel::Netlink netlink = TRY(kernel::Netlink::open());
    auto link = kernel::find_link(netlink, name);
    if (!link && link.error().code == Code::not_found) {
        TRY(kernel::create_vxlan(netlink, name, TUNNEL_PORT, kernel::tunnel_mac));
        link = kernel::find_link(netlink, name);
    }
    if (!link) return fail(link.error());
    if (link->kind != "vxlan") return fail(Code::conflict, "link " + name + " is there and no tunnel of ours");
    if (link->mtu != tunnel_device_mtu) TRY(kernel::set_link_mtu(netlink, link->index, tunnel_device_mtu));
    if (!link->up) {
        TRY(set_ipv6(name, false));
        TRY(kernel::set_link_up(netlink, link->index, true));
    }
    if (uplink.mtu <= TUNNEL_OVERHEAD) return fail(Code::invalid, "the uplink's MTU is too small for a tunnel");
    return uint32_t(link->index);
}

std::vector<OtherNode> Overlay::other_nodes() const {
    std::vector<OtherNode> others;
    nodes_.for_each([&](const kube::ObjectPtr& node) {
        if (node->name() == view_.node_name) return;
        if (auto other = parse_other_node(*node)) others.push_back(std::move(*other));
    });
    std::sort(others.begin(), others.end(),
              [](const OtherNode& a, const OtherNode& b) { return a.name < b.name; });
    return others;
}

std::vector<LeasedBlock> Overlay::leased_blocks() const {
    std::map<std::string, uint32_t, std::less<>> numbers;
    for (const cloud::Vpc& vpc : view_.all_vpcs()) numbers.emplace(vpc.name, vpc.vni);
    std::map<std::string, cloud::VSwitch, std::less<>> vswitches;
    view_.vswitches.for_each([&](const kube::ObjectPtr& object) {
        if (auto vswitch = cloud::parse_vswitch(object->body())) vswitches.emplace(vswitch->name, std::move(*vswitch));
    });
    std::vector<LeasedBlock> leased;
    view_.blocks.for_each([&](const kube::ObjectPtr& object) {
        const std::string_view node = object->string({"spec", "node"});
        const auto vni = numbers.find(object->string({"spec", "vpc"}));
        const auto cidr = net::Prefix::parse(object->string({"spec", "cidr"}));
        if (node == view_.node_name || vni == numbers.end() || !cidr) return;
        leased.push_back({std::string(node), vni->second, *cidr});
        const auto vswitch = vswitches.find(object->string({"spec", "vSwitch"}));
        if (vswitch == vswitches.end()) return;
        if (const auto ipv6 = ipv6_of_block(vswitch->second, *cidr))
            leased.push_back({std::string(node), vni->second, *ipv6});
    });
    return leased;
}

Status Overlay::reconcile() {
    const std::vector<OtherNode> others = other_nodes();
    numbers_ = number_nodes(others, numbers_, tables_.nodes.rows());
    const auto nodes = diff(tables_.nodes.rows(), desired_nodes(others, numbers_, uplink_mtu_));
    const auto locations = diff(tables_.locations.rows(), desired_locations(others, numbers_, leased_blocks()));
    TRY_IN("nodes", tables_.nodes.put_all(nodes.puts));
    TRY_IN("locations", tables_.locations.apply(locations));
    TRY_IN("nodes", tables_.nodes.erase_all(nodes.deletes));
    static metrics::Gauge& known = metrics::gauge("weft_other_nodes", {}, "Other nodes that this node can reach.");
    static metrics::Gauge& rows = metrics::gauge("weft_locations", {}, "Rows that say on which node an address is.");
    known.set(int64_t(others.size()));
    rows.set(int64_t(tables_.locations.rows().size()));
    return {};
}

void add_overlay(kube::Brain& brain, const View& view, Overlay& overlay) {
    const kube::Cache& nodes = brain.watch(kube::nodes);
    auto& queue = brain.add_reconciler(
        "overlay", [&overlay](const kube::ObjectKey&) { return kube::Outcome::from(overlay.reconcile()); });
    brain.on_synced([&overlay] {
        if (const Status done = overlay.reconcile(); !done)
            log::error("overlay", {{"error", done.error().message}});  // the queue tries again
    });
    // Heartbeats, counters and allocations change nothing here.
    const auto watch = [&](const kube::Cache& cache, json::Array (*look)(const kube::Object&)) {
        brain.on_change(cache, [&queue, look](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
            if (!before || !after || look(*before) != look(*after)) queue.add(the_overlay);
        });
    };
    watch(nodes, [](const kube::Object& node) {
        return json::Array{part(node, {"status", "addresses"}), part(node, {"metadata", "annotations"})};
    });
    watch(view.blocks, [](const kube::Object& block) { return json::Array{part(block, {"spec"})}; });
    watch(view.vpcs, [](const kube::Object& vpc) { return json::Array{part(vpc, {"status", "vni"})}; });
    watch(view.vswitches, [](const kube::Object& vswitch) {
        return json::Array{part(vswitch, {"spec"}), part(vswitch, {"status", "ipv6CidrBlock"})};
    });
}

}  // namespace weft::agent
