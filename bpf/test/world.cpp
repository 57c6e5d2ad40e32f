#include "bpf/test/world.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "bpf/test/janitor.h"
#include "kernel/link.h"
#include "kernel/netlink.h"
#include "kernel/short_ipv6.h"

namespace weft::test {
namespace {

constexpr int interfaces_max = 16;  // pods and the uplink of one world

// The parts that all worlds of the process share; the janitor takes them down.
class Installation {
public:
    Installation() {
        start_janitor();
        // Interfaces are looked up in the caller's namespace: this process gets one of its own, for good.
        ENSURE(unshare(CLONE_NEWNET) == 0);
        kernel::Netlink netlink = MUST(kernel::Netlink::open());
        for (int i = 0; i < interfaces_max; ++i) {
            MUST(kernel::create_veth(netlink, {fmt::format("node{}", i)}, {fmt::format("pod{}", i)}));
            ifindexes.push_back(MUST(kernel::find_link(netlink, fmt::format("node{}", i))).index);
        }
        MUST(kernel::mount_bpf_filesystem(test_bpf_mount()));
    }

    BpfObject& object(std::string_view node) {
        auto& object = objects_[std::string(node)];
        if (!object) object.emplace(MUST(BpfObject::install(World::bpf_dir(node))));
        return *object;
    }

    static Installation& get() {
        static Installation installation;
        return installation;
    }

    std::vector<int> ifindexes;

private:
    std::map<std::string, std::optional<BpfObject>> objects_;
};

template <class K, class V>
void clear(kernel::Map<K, V>& map) {
    std::vector<K> keys;
    for (const auto& [key, value] : MUST(map.all())) keys.push_back(key);
    MUST(map.erase_all(keys));
}

// The hook's counters, by reason.
std::vector<uint64_t> drops_of(const kernel::NodeMaps& maps, abi::hook hook) {
    std::vector<uint64_t> out(abi::DROP_REASONS);
    for (uint32_t reason = 1; reason < abi::DROP_REASONS; ++reason) {
        for (const auto& cpu : MUST(maps.drops->lookup(abi::drop_index(hook, reason)))) out[reason] += cpu.packets;
    }
    return out;
}

}  // namespace

bool hooks_open_ipv6() {
    utsname system{};
    ::uname(&system);
    int major = 0, minor = 0;
    return std::sscanf(system.release, "%d.%d", &major, &minor) == 2 && std::pair(major, minor) >= std::pair(6, 3);
}

Address ip(std::string_view text) { return MUST(Address::parse(text)); }

std::string text(const Outcome& outcome) {
    return fmt::format("action {} reason {} to {} [{}]", outcome.action,
                       outcome.reason ? abi::drop_reason_name(*outcome.reason) : "none",
                       outcome.packet.destination_mac.text(), outcome.packet.text());
}

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) { return out << text(outcome); }

std::string World::bpf_dir(std::string_view node) { return test_bpf_mount() + "/" + std::string(node); }

World::World(std::string_view node) : object_(Installation::get().object(node)) {
    kernel::NodeMaps& m = maps();
    clear(*m.attachments);
    clear(*m.netns);
    clear(*m.endpoint);
    clear(*m.endpoints);
    clear(*m.routes);
    clear(*m.locations);
    clear(*m.nodes);
    clear(*m.frontends);
    clear(*m.slots);
    clear(*m.backends);
    clear(*m.ct_established);
    clear(*m.ct_half_open);
    clear(*m.source_ranges);
    clear(*m.affinity);
    clear(*m.fragments);
    clear(*m.vpc_limits);
    clear(*m.ct_vpc_held);
    for (uint32_t id = 0; id <= interfaces_max; ++id) MUST(m.ct_held->put(id, 0));
    MUST(m.node->put(0, {}));
}

Pod World::pod(uint32_t vpc, std::string_view address, uint32_t flags, std::string_view v6) {
    const uint32_t id = next_id_;
    return wired_pod(vpc, address, Installation::get().ifindexes.at(id), Mac{{0x06, 0x77, 0, 0, 0, uint8_t(id)}}, flags,
                     v6);
}

Pod World::wired_pod(uint32_t vpc, std::string_view address, int ifindex, const Mac& mac, uint32_t flags,
                     std::string_view v6) {
    const Pod pod{next_id_++, vpc, ifindex, ip(address), mac};
    abi::endpoint endpoint{};
    endpoint.vpc = vpc;
    endpoint.ifindex = uint32_t(pod.ifindex);
    endpoint.v4 = abi::to_abi(pod.address);
    if (!v6.empty()) endpoint.v6 = abi::to_abi(ip(v6));
    endpoint.flags = flags;
    endpoint.route_table = vpc;
    std::copy(pod.mac.bytes.begin(), pod.mac.bytes.end(), endpoint.mac);
    MUST(maps().endpoint->put(pod.id, endpoint));
    MUST(maps().attachments->put(uint32_t(pod.ifindex), pod.id));
    local_address(pod, address);
    if (v6.empty()) return pod;
    local_address(pod, v6);
    MUST(maps().endpoints->put(abi::short_key_of(vpc, ip(v6)), pod.id));
    return pod;
}

void World::remove(const Pod& pod) {
    MUST(maps().endpoints->erase(abi::endpoint_key_of(pod.vpc, pod.address)));
    MUST(maps().attachments->erase(uint32_t(pod.ifindex)));
    MUST(maps().endpoint->erase(pod.id));
}

void World::local_address(const Pod& pod, std::string_view address) {
    MUST(maps().endpoints->put(abi::endpoint_key_of(pod.vpc, ip(address)), pod.id));
}

void World::route(uint32_t vpc, std::string_view prefix, abi::route_kind kind) {
    MUST(maps().routes->put(abi::route_key_of(vpc, MUST(net::Prefix::parse(prefix))), {uint32_t(kind), 0}));
}

void World::ranges(uint32_t vpc) {
    route(vpc, "10.0.0.0/16", abi::ROUTE_LOCAL);
    route(vpc, "fd00::/64", abi::ROUTE_LOCAL);
    route(vpc, "fd00:1::/108", abi::ROUTE_SERVICES);
    route(vpc, "fd77:6566:7400::6440:0/106", abi::ROUTE_LOCAL);
    route(vpc, "172.21.0.0/20", abi::ROUTE_SERVICES);
    route(vpc, "100.64.0.0/10", abi::ROUTE_LOCAL);
}

void World::node(std::string_view address, std::string_view v6) {
    uplink_ifindex_ = Installation::get().ifindexes.at(0);
    abi::node node{};
    node.v4 = abi::to_abi(ip(address));
    if (!v6.empty()) node.v6 = abi::to_abi(ip(v6));
    node.uplink_ifindex = uint32_t(uplink_ifindex_);
    std::copy(uplink_mac.bytes.begin(), uplink_mac.bytes.end(), node.uplink_mac);
    MUST(maps().node->put(0, node));
}

void World::service(uint32_t frontend_vpc, std::string_view address, uint16_t port, Protocol protocol, uint32_t service,
                    const std::vector<Target>& targets, uint32_t flags, uint32_t owner) {
    for (uint32_t slot = 0; slot < targets.size(); ++slot) {
        const Target& target = targets[slot];
        MUST(maps().backends->put(target.backend, {target.vpc, abi::to_abi(target.address),
                                                   abi::to_abi_port(target.port), uint8_t(protocol), 0}));
        MUST(maps().slots->put({service, slot}, target.backend));
    }
    const uint32_t vpc = owner != 0 ? owner : frontend_vpc;
    MUST(maps().frontends->put(abi::frontend_key_of(frontend_vpc, ip(address), port, protocol),
                               {service, uint32_t(targets.size()), flags, vpc, 0}));
    MUST(maps().frontends->put(abi::frontend_address_key(frontend_vpc, ip(address)),
                               {0, 0, flags | abi::FRONTEND_ADDRESS, vpc, 0}));
    if (frontend_vpc == VPC_OUTSIDE) announce(address, true);
}

void World::announce(std::string_view address, bool here) {
    const abi::frontend_key key{VPC_OUTSIDE, abi::to_abi(ip(address)), 0, FRONTEND_ANNOUNCED, 0};
    if (here) MUST(maps().frontends->put(key, {0, 0, abi::FRONTEND_ADDRESS, 0, 0}));
    else MUST(maps().frontends->erase(key));
}

void World::remove_backend(uint32_t id) { MUST(maps().backends->erase(id)); }

Outcome World::run(ProgramName program, int ifindex, const Bytes& frame, const kernel::TestSkb& skb) {
    // What the uplink's hook opens is counted as the tunnel's.
    const std::vector<abi::hook> hooks =
        program == ProgramName::pod_egress ? std::vector{abi::HOOK_POD_EGRESS}
                                           : std::vector{abi::HOOK_UPLINK_INGRESS, abi::HOOK_TUNNEL_INGRESS};
    // Anew each time: what a world before this one left behind may still be counted.
    std::vector<std::vector<uint64_t>> before;
    for (const abi::hook hook : hooks) before.push_back(drops_of(maps(), hook));
    kernel::TestRun run = MUST(kernel::test_run(object_.program(program).fd.get(), ifindex, frame, skb));
    Outcome outcome;
    outcome.action = run.action;
    outcome.mark = run.mark;
    outcome.frame = std::move(run.frame);
    if (auto packet = net::read_packet(outcome.frame)) {
        outcome.packet = *packet;
    } else {  // a frame that only half makes sense still has a receiver
        std::copy_n(outcome.frame.begin(), 6, outcome.packet.destination_mac.bytes.begin());
    }
    for (size_t i = 0; i < hooks.size(); ++i) {
        const std::vector<uint64_t> after = drops_of(maps(), hooks[i]);
        for (uint32_t reason = 1; reason < after.size(); ++reason) {
            if (after[reason] == before[i][reason]) continue;
            outcome.reason = abi::drop_reason(reason);
            outcome.hook = hooks[i];
        }
    }
    return outcome;
}

std::optional<abi::ct_entry> World::connection(uint32_t vpc, Protocol protocol, const Address& a, uint16_t a_port,
                                               const Address& b, uint16_t b_port) {
    const auto matches = [&](const abi::ct_key& key) {
        const auto is = [&](const Address& low, uint16_t low_port, const Address& high, uint16_t high_port) {
            return key.low == abi::to_abi(low) && key.low_port == abi::to_abi_port(low_port) &&
                   key.high == abi::to_abi(high) && key.high_port == abi::to_abi_port(high_port);
        };
        return key.vpc == vpc && key.protocol == uint8_t(protocol) &&
               (is(a, a_port, b, b_port) || is(b, b_port, a, a_port));
    };
    for (const auto* map : {maps().ct_established.get(), maps().ct_half_open.get()}) {
        for (const auto& [key, entry] : MUST(map->all())) {
            if (matches(key)) return entry;
        }
    }
    return std::nullopt;
}

void World::age(uint32_t seconds) {
    for (auto* map : {maps().ct_established.get(), maps().ct_half_open.get()}) {
        std::vector<std::pair<abi::ct_key, abi::ct_entry>> rows;
        for (const auto& row : MUST(map->all())) rows.push_back(row);
        for (auto& [key, entry] : rows) entry.last_seen_s -= seconds;
        if (!rows.empty()) MUST(map->put_all(rows));
    }
}

}  // namespace weft::test
