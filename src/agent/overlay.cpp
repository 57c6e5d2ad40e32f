#include "agent/overlay.h"

#include <algorithm>
#include <set>

#include "agent/interface_ipv6.h"
#include "base/delta.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "cloud/annotations.h"
#include "kernel/link.h"
#include "kernel/ownership.h"

namespace weft::agent {
namespace {

const kube::ObjectKey the_overlay{"", "overlay"};
const kube::ObjectKey the_nodes{"", "nodes"};
constexpr std::string_view one_block = "block";  // the first part of keys that name an AddressBlock
// Larger than any packet: what may be cut is cut outside, by the kernel; what may not is refused before (lib/too_big.h).
constexpr unsigned tunnel_device_mtu = 65000;

json::Value part(const kube::Object& object, json::Path path) {
    const json::Value* const found = object.find(path);
    return found == nullptr ? json::Value() : *found;
}

constexpr unsigned mtu_min = 576, mtu_max = 65535;  // RFC 791; an IPv4 packet's own limit
// The kernel's routes change behind our back: a routing daemon's, an administrator's.
constexpr Duration hop_check_period = std::chrono::seconds(5);

std::optional<net::Address> annotated(const kube::Object& node, std::string_view annotation) {
    const auto address = net::Address::parse(node.annotation(annotation));
    return address ? std::optional(*address) : std::nullopt;
}

bool is_routed(const kube::Object& vpc) { return vpc.string({"spec", "encapsulation"}) == "None"; }

}  // namespace

Result<OtherNode> parse_other_node(const kube::Object& node) {
    OtherNode other{.name = std::string(node.name()), .underlay = {}, .neighbours = {}};
    for (const json::Value& entry : node.array({"status", "addresses"})) {
        if (json::find_string(entry, {"type"}) != "InternalIP") continue;
        const auto address = net::Address::parse(json::find_string(entry, {"address"}));
        if (address && address->is_v4() && other.underlay.is_unspecified()) other.underlay = *address;
        if (address && !address->is_v4() && !other.underlay_ipv6) other.underlay_ipv6 = *address;
    }
    if (other.underlay.is_unspecified())
        return fail(Code::invalid, "Node " + other.name + ": status.addresses: no InternalIP of IPv4");
    for (const std::string_view annotation : {cloud::service_address_annotation, cloud::host_address_annotation})
        if (const auto address = annotated(node, annotation); address && address->is_v4())
            other.neighbours.push_back(*address);
    const auto mtu = parse_unsigned(node.annotation(cloud::uplink_mtu_annotation));
    if (mtu && *mtu >= mtu_min && *mtu <= mtu_max) other.mtu = unsigned(*mtu);
    return other;
}

NodeNumbers number_nodes(const std::vector<OtherNode>& nodes, const NodeNumbers& before,
                         const std::map<uint32_t, abi::remote_node>& rows) {
    NodeNumbers numbers;
    std::set<uint32_t> taken;
    const auto give = [&](const OtherNode& node, uint32_t number) {
        if (number != 0 && number <= NODE_NUMBER_MASK && taken.insert(number).second) numbers[node.name] = number;
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
    for (const OtherNode& node : nodes) {
        const uint32_t number = numbers.at(node.name);
        const unsigned mtu = node.mtu == 0 ? uplink_mtu : std::min(node.mtu, uplink_mtu);
        rows[number] = {abi::to_abi(node.underlay), mtu - TUNNEL_OVERHEAD,
                        node.on_link ? uint32_t(abi::NODE_ON_LINK) : 0};
        if (node.hop) rows[number | NODE_WAY_V4] = {abi::to_abi(*node.hop), mtu, abi::NODE_ROUTED};
        if (node.hop_ipv6) rows[number | NODE_WAY_V6] = {abi::to_abi(*node.hop_ipv6), mtu, abi::NODE_ROUTED};
    }
    return rows;
}

std::map<net::Address, unsigned> narrower_nodes(const std::vector<OtherNode>& nodes, unsigned uplink_mtu) {
    std::map<net::Address, unsigned> narrower;
    for (const OtherNode& node : nodes)
        if (node.mtu != 0 && node.mtu < uplink_mtu) narrower[node.underlay] = node.mtu;
    return narrower;
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
            rows[abi::location_key_of(block.vni, block.cidr)] = number->second | block.way;
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

std::vector<OtherNode> Overlay::other_nodes() {
    const bool has_routed = has_routed_vpc();
    std::vector<OtherNode> others;
    nodes_.for_each([&](const kube::ObjectPtr& node) {
        if (node->name() == view_.node_name) return;
        auto other = parse_other_node(*node);
        if (!other) return;
        const auto [known, is_new] = on_link_.try_emplace(other->underlay, false);
        if (is_new) known->second = underlay_.is_on_link(other->underlay);
        other->on_link = known->second;
        if (has_routed) other->hop = underlay_.next_hop(other->underlay);
        if (has_routed && other->underlay_ipv6) other->hop_ipv6 = underlay_.next_hop(*other->underlay_ipv6);
        others.push_back(std::move(*other));
    });
    std::sort(others.begin(), others.end(),
              [](const OtherNode& a, const OtherNode& b) { return a.name < b.name; });
    return others;
}

std::vector<LeasedBlock> Overlay::parse_leased(const kube::Object& block) const {
    const std::string_view node = block.string({"spec", "node"});
    const auto cidr = net::Prefix::parse(block.string({"spec", "cidr"}));
    const kube::ObjectPtr vpc = view_.vpcs.get(block.string({"spec", "vpc"}));
    const int64_t vni = vpc ? vpc->integer({"status", "vni"}) : 0;
    if (node == view_.node_name || !cidr || vni <= 0 || vni > cloud::vni_max) return {};
    std::vector<LeasedBlock> leased{{std::string(node), uint32_t(vni), *cidr, way_of(*vpc, node, *cidr)}};
    const kube::ObjectPtr object = view_.vswitches.get(block.string({"spec", "vSwitch"}));
    const bool has_ipv6 = object && (object->find({"status", "ipv6CidrBlock"}) || object->find({"spec", "ipv6CidrBlock"}));
    if (!has_ipv6) return leased;  // of most that is known without reading the rest
    const auto vswitch = cloud::parse_vswitch(object->body());
    if (!vswitch) return leased;
    if (const auto ipv6 = ipv6_of_block(*vswitch, *cidr))
        leased.push_back({std::string(node), uint32_t(vni), *ipv6, way_of(*vpc, node, *ipv6)});
    return leased;
}

uint32_t Overlay::way_of(const kube::Object& vpc, std::string_view node, const net::Prefix& block) const {
    if (!is_routed(vpc)) return 0;
    const auto other = std::lower_bound(others_.begin(), others_.end(), node,
                                        [](const OtherNode& a, std::string_view name) { return a.name < name; });
    if (other == others_.end() || other->name != node) return 0;
    if (block.is_v4()) return other->hop ? NODE_WAY_V4 : 0;
    return other->hop_ipv6 ? NODE_WAY_V6 : 0;
}

bool Overlay::has_routed_vpc() const {
    bool has = false;
    view_.vpcs.for_each([&](const kube::ObjectPtr& vpc) { has = has || is_routed(*vpc); });
    return has;
}

bool Overlay::has_moved() {
    on_link_.clear();
    return other_nodes() != others_;
}

Status Overlay::reconcile() {
    is_stale_ = true;
    others_ = other_nodes();
    numbers_ = number_nodes(others_, numbers_, tables_.nodes.rows());
    const auto nodes = diff(tables_.nodes.rows(), desired_nodes(others_, numbers_, uplink_mtu_));
    Locations want = desired_locations(others_, numbers_, {});
    claims_.clear();
    rows_of_block_.clear();
    for (const auto& [key, number] : want) {
        claims_[key] = 1;
        rows_of_block_[""].push_back(key);
    }
    view_.blocks.for_each([&](const kube::ObjectPtr& block) {
        for (const auto& [key, number] : desired_locations({}, numbers_, parse_leased(*block))) {
            want[key] = number;
            ++claims_[key];
            rows_of_block_[std::string(block->name())].push_back(key);
        }
    });
    TRY_IN("nodes", tables_.nodes.put_all(nodes.puts));
    TRY_IN("locations", tables_.locations.apply(diff(tables_.locations.rows(), want)));
    TRY_IN("nodes", tables_.nodes.erase_all(nodes.deletes));
    TRY_IN("narrow ways", underlay_.set_narrow(narrower_nodes(others_, uplink_mtu_)));
    is_stale_ = false;
    count();
    return {};
}

void Overlay::count() const {
    static metrics::Gauge& known = metrics::gauge("weft_other_nodes", {}, "Other nodes that this node can reach.");
    known.set(int64_t(others_.size()));
    static metrics::Gauge& rows = metrics::gauge("weft_locations", {}, "Rows that say on which node an address is.");
    rows.set(int64_t(tables_.locations.rows().size()));
}

Overlay::Locations Overlay::rows_of_block(const std::string& name) const {
    const kube::ObjectPtr block = view_.blocks.get(name);
    return block ? desired_locations({}, numbers_, parse_leased(*block)) : Locations{};
}

std::set<std::string> Overlay::look_at_nodes() {
    const std::vector<OtherNode> before = std::exchange(others_, other_nodes());
    const NodeNumbers numbers_before = std::exchange(numbers_, number_nodes(others_, numbers_, tables_.nodes.rows()));
    std::set<std::string> changed;
    const auto note = [&](const std::vector<OtherNode>& these, const std::vector<OtherNode>& those) {
        for (const OtherNode& node : these) {
            const auto same = std::lower_bound(those.begin(), those.end(), node,
                                               [](const OtherNode& a, const OtherNode& b) { return a.name < b.name; });
            if (same == those.end() || !(*same == node)) changed.insert(node.name);
        }
    };
    note(before, others_);
    note(others_, before);
    for (const auto& [name, number] : numbers_)
        if (const auto had = numbers_before.find(name); had == numbers_before.end() || had->second != number)
            changed.insert(name);
    return changed;
}

Status Overlay::reconcile_nodes() {
    if (is_stale_) return reconcile();
    is_stale_ = true;
    const std::set<std::string> changed = look_at_nodes();
    const auto nodes = diff(tables_.nodes.rows(), desired_nodes(others_, numbers_, uplink_mtu_));
    TRY_IN("nodes", tables_.nodes.put_all(nodes.puts));
    if (!TRY_IN("locations", write_rows("", desired_locations(others_, numbers_, {})))) return reconcile();
    for (const std::string& node : changed)
        for (const auto& [key, block] : view_.blocks_by_node->under(node))
            if (!TRY_IN("locations", write_rows(key.name, rows_of_block(key.name)))) return reconcile();
    TRY_IN("nodes", tables_.nodes.erase_all(nodes.deletes));
    TRY_IN("narrow ways", underlay_.set_narrow(narrower_nodes(others_, uplink_mtu_)));
    is_stale_ = false;
    count();
    return {};
}

Status Overlay::reconcile_block(const std::string& name) {
    if (is_stale_) return reconcile();
    is_stale_ = true;
    if (!TRY_IN("locations", write_rows(name, rows_of_block(name)))) return reconcile();
    is_stale_ = false;
    count();
    return {};
}

Result<bool> Overlay::write_rows(const std::string& name, const Locations& want) {
    const auto known = rows_of_block_.find(name);
    const std::vector<abi::location_key> before =
        known == rows_of_block_.end() ? std::vector<abi::location_key>{} : known->second;
    const auto is_shared = [&](const abi::location_key& key) {
        const auto claims = claims_.find(key);
        const bool is_ours = std::binary_search(before.begin(), before.end(), key);
        return claims != claims_.end() && claims->second > (is_ours ? 1u : 0u);
    };
    bool shared = std::any_of(before.begin(), before.end(), is_shared);
    for (const auto& [key, number] : want) shared = shared || is_shared(key);
    if (shared) return false;
    std::vector<abi::location_key> gone;
    for (const abi::location_key& key : before)
        if (!want.contains(key)) gone.push_back(key);
    TRY(tables_.locations.put_all({want.begin(), want.end()}));
    TRY(tables_.locations.erase_all(gone));
    for (const abi::location_key& key : before) claims_.erase(key);
    std::vector<abi::location_key> rows;  // in the order of their keys
    for (const auto& [key, number] : want) {
        claims_[key] = 1;
        rows.push_back(key);
    }
    if (rows.empty()) rows_of_block_.erase(name);
    else rows_of_block_[name] = std::move(rows);
    return true;
}

void add_overlay(kube::Brain& brain, const View& view, Overlay& overlay) {
    const kube::Cache& nodes = brain.watch(kube::nodes);
    auto& queue = brain.add_reconciler("overlay", [&overlay](const kube::ObjectKey& key) {
        return kube::Outcome::from(key.ns == one_block ? overlay.reconcile_block(key.name)
                                   : key == the_nodes  ? overlay.reconcile_nodes()
                                                       : overlay.reconcile());
    });
    brain.on_synced([&overlay, &queue] {
        if (const Status done = overlay.reconcile(); !done) {
            log::error("overlay", {{"error", done.error().message}});
            queue.add(the_overlay);
        }
    });
    // Heartbeats, counters and allocations change nothing here; what was heard before the first look is in it.
    using Look = json::Array (*)(const kube::Object&);
    const auto watch = [&brain](const kube::Cache& cache, Look look, std::function<void(const kube::Object&)> found) {
        brain.on_change(cache, [&brain, look, found = std::move(found)](const kube::ObjectPtr& before,
                                                                       const kube::ObjectPtr& after) {
            if (!brain.synced() || (before && after && look(*before) == look(*after))) return;
            found(after ? *after : *before);
        });
    };
    const auto add_block = [&queue](const kube::ObjectKey& block) { queue.add({std::string(one_block), block.name}); };
    const auto add_blocks = [add_block](const ObjectIndex& index, std::string_view text) {
        for (const auto& [key, block] : index.under(text)) add_block(key);
    };
    const auto by_vpc = ObjectIndex::of(
        brain, view.blocks, [](const kube::Object& block) { return std::string(block.string({"spec", "vpc"})); });
    const auto by_vswitch = ObjectIndex::of(
        brain, view.blocks, [](const kube::Object& block) { return std::string(block.string({"spec", "vSwitch"})); });
    watch(
        nodes,
        [](const kube::Object& node) {
            return json::Array{part(node, {"status", "addresses"}), part(node, {"metadata", "annotations"})};
        },
        [&queue](const kube::Object&) { queue.add(the_nodes); });
    watch(
        view.blocks, [](const kube::Object& block) { return json::Array{part(block, {"spec"})}; },
        [add_block](const kube::Object& block) { add_block(block.key()); });
    watch(
        view.vpcs,
        [](const kube::Object& vpc) {
            return json::Array{part(vpc, {"status", "vni"}), part(vpc, {"spec", "encapsulation"})};
        },
        [&queue, add_blocks, by_vpc](const kube::Object& vpc) {
            if (is_routed(vpc)) queue.add(the_overlay);  // it may be the first or the last: the ways to every node
            else add_blocks(*by_vpc, vpc.name());
        });
    watch(
        view.vswitches,
        [](const kube::Object& vswitch) {
            return json::Array{part(vswitch, {"spec"}), part(vswitch, {"status", "ipv6CidrBlock"})};
        },
        [add_blocks, by_vswitch](const kube::Object& vswitch) { add_blocks(*by_vswitch, vswitch.name()); });
    brain.every(hop_check_period, [&overlay, &queue] {
        if (overlay.has_moved()) queue.add(the_nodes);
    });
}

}  // namespace weft::agent
