#include "cli/ipam.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <chrono>
#include <cstring>
#include <thread>

#include <fmt/format.h>

#include "base/fd.h"
#include "cli/ipam_check.h"
#include "cli/nodes.h"
#include "cli/output.h"
#include "cloud/ipam.h"
#include "kernel/bpf_object.h"
#include "protocol/cni.h"

namespace weft::cli {

// What passes by itself (an agent writes its status, a pod is being deleted) is over by then.
static constexpr auto between_looks = std::chrono::milliseconds(1500);
static constexpr auto after_repair = std::chrono::seconds(3);
static constexpr int exit_wrong = 1;

static Result<AddressesOfNode> facts_of_node(const Instance& instance, const std::string& node) {
    AddressesOfNode facts;
    const std::string path = instance.node_run_dir(node) + "/allocations.log";
    const std::string text = TRY(read_file(path));
    const auto state = TRY_IN(path, agent::read_allocations(text, TRY(agent::boot_id())));
    for (const auto& [key, allocation] : state.allocations) facts.log.push_back(allocation);
    const kernel::NodeMaps maps = TRY_IN("data plane", kernel::open_pinned_maps(instance.bpf_dir(node)));
    const auto endpoints = TRY(maps.endpoint->all());
    for (const auto& [key, id] : TRY(maps.endpoints->all())) {
        const auto row = endpoints.find(id);
        const bool is_pod =
            row == endpoints.end() || (row->second.flags & (abi::ENDPOINT_HOST | abi::ENDPOINT_SERVICE)) == 0;
        // A pod's IPv6 address follows from its IPv4 one.
        const net::Address address = abi::from_abi(key.address);
        if (is_pod && address.is_v4()) facts.doors.insert({key.vpc, address});
    }
    return facts;
}

static Result<IpamFacts> gather(kube::Client& client, const std::optional<Instance>& instance) {
    IpamFacts facts;
    // The nodes last: what they have is compared with what the API said a moment before.
    facts.vpcs = TRY(client.list(kube::vpcs)).items;
    facts.namespaces = TRY(client.list(kube::namespaces)).items;
    facts.vswitches = TRY(client.list(kube::vswitches)).items;
    facts.nodes = TRY(client.list(kube::nodes)).items;
    facts.pod_enis = TRY(client.list(kube::pod_enis)).items;
    facts.blocks = TRY(client.list(kube::address_blocks)).items;
    facts.pods = TRY(client.list(kube::pods)).items;
    if (!instance) return facts;
    for (const std::string& node : TRY(node_names(*instance))) {
        auto known = facts_of_node(*instance, node);
        if (known)
            facts.by_node[node] = std::move(*known);
        else
            facts.by_node[node].problem = known.error().message;
    }
    return facts;
}

struct Look {
    IpamFacts facts;
    std::vector<AddressFinding> findings;
};

// Only what two looks show: a world in motion is not wrong.
static Result<Look> look(kube::Client& client, const std::optional<Instance>& instance) {
    IpamFacts facts = TRY(gather(client, instance));
    std::vector<AddressFinding> first = check_addresses(facts);
    if (first.empty()) return Look{std::move(facts), {}};
    std::this_thread::sleep_for(between_looks);
    facts = TRY(gather(client, instance));
    std::set<std::string> seen;
    for (const AddressFinding& finding : first) seen.insert(finding.key());
    std::vector<AddressFinding> second = check_addresses(facts);
    std::erase_if(second, [&](const AddressFinding& finding) { return !seen.contains(finding.key()); });
    return Look{std::move(facts), std::move(second)};
}

// As the runtime would, had it not forgotten.
static Status release(const Instance& instance, const AddressFinding& finding) {
    namespace wire = protocol::cni;
    const agent::Allocation& allocation = finding.allocation;
    wire::Request request{wire::Command::del, allocation.key.container_id, allocation.key.ifname,
                          allocation.netns,   allocation.pod_namespace,    allocation.pod_name,
                          allocation.pod_uid};
    request.network = allocation.network;
    const std::string path = instance.agent_socket(finding.node);
    const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno("socket");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) return fail(Code::invalid, path + ": too long");
    std::memcpy(address.sun_path, path.data(), path.size());
    const timeval patience{.tv_sec = wire::reply_timeout_s, .tv_usec = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
        return fail_errno("connect " + path);
    TRY(wire::send_all(fd.get(), wire::encode(request)));
    const wire::Reply reply = TRY(wire::decode_reply(TRY(wire::receive_all(fd.get()))));
    if (reply.answer != wire::Answer::ok) return fail(Code::io, reply.message + ": " + reply.details);
    return {};
}

// First the other node's block leaves the address alone, then it is lent here. Its agent may give it in between: it is
// looked at again afterwards.
static Status lease_again(kube::Client& client, const AddressFinding& finding) {
    IpamFacts facts;
    facts.vswitches = TRY(client.list(kube::vswitches)).items;
    facts.blocks = TRY(client.list(kube::address_blocks)).items;  // an earlier repair may have made it
    for (const kube::Object& block : facts.blocks) {
        const auto cidr = net::Prefix::parse(block.string({"spec", "cidr"}));
        if (cidr && cidr->contains(finding.allocation.address) && block.string({"spec", "node"}) == finding.node &&
            block.string({"spec", "vpc"}) == finding.allocation.vpc)
            return {};
    }
    const auto lease = missing_lease(finding.allocation, finding.node, facts);
    if (!lease) return fail(Code::conflict, "the address is lent to another node by now");
    if (!lease->withhold_in.empty()) {
        kube::Object block = TRY(client.get(kube::address_blocks, {"", lease->withhold_in}));
        json::Array withheld = block.array({"spec", "withheld"});
        withheld.emplace_back(finding.allocation.address.text());
        block.set({"spec", "withheld"}, std::move(withheld));
        TRY(client.update(kube::address_blocks, block));
    }
    kube::Object block = kube::Object::of(kube::address_blocks, {"", lease->name});
    block.add_finalizer(cloud::block_finalizer);
    block.set(
        {"spec"},
        json::Object{
            {"vpc", lease->vpc}, {"vSwitch", lease->vswitch}, {"cidr", lease->cidr.text()}, {"node", lease->node}});
    TRY(client.create(kube::address_blocks, block));
    return {};
}

static Status mend(kube::Client& client, const std::optional<Instance>& instance, const AddressFinding& finding) {
    switch (finding.repair) {
        case AddressFinding::Repair::none:
            return {};
        case AddressFinding::Repair::release:
            return instance ? release(*instance, finding) : Status{};
        case AddressFinding::Repair::lease_again:
            return lease_again(client, finding);
        case AddressFinding::Repair::delete_pod:
            return client.remove(kube::pods, finding.object);
        case AddressFinding::Repair::delete_block:
            return client.remove(kube::address_blocks, finding.object);
        case AddressFinding::Repair::delete_eni:
            return client.remove(kube::pod_enis, finding.object);
    }
    return {};
}

static json::Value to_json(const std::vector<AddressFinding>& findings) {
    json::Array list;
    for (const AddressFinding& finding : findings)
        list.push_back(json::Object{{"kind", finding.kind},
                                    {"subject", finding.subject},
                                    {"node", finding.node},
                                    {"what", finding.what},
                                    {"fix", finding.fix},
                                    {"repairable", finding.repair != AddressFinding::Repair::none}});
    return list;
}

static void print(const Common& common, const Look& seen) {
    Table table{{"KIND", "ADDRESS", "NODE", "WHAT"}, {}};
    for (const AddressFinding& finding : seen.findings)
        table.rows.push_back({finding.kind, finding.subject, finding.node.empty() ? "-" : finding.node,
                              finding.what + "\n    fix: " + finding.fix});
    if (is_for_programs(common)) return print_value(common, to_json(seen.findings));
    if (!seen.findings.empty()) return show(common, table, {});
    size_t addresses = 0;
    for (const auto& [node, known] : seen.facts.by_node) addresses += known.log.size();
    fmt::print("{} addresses on {} nodes, {} blocks of {} vSwitches: nothing is double, lost or orphaned\n", addresses,
               seen.facts.by_node.size(), seen.facts.blocks.size(), seen.facts.vswitches.size());
}

static Result<int> check(const Common& common, bool repair) {
    const auto client = kube::connect(TRY(find_endpoint(common)));
    std::optional<Instance> instance;
    if (auto found = find_instance(common))
        instance = *found;
    else
        std::fputs("the API alone is asked; to ask the nodes too, name the instance: --instance\n", stderr);
    Look seen = TRY(look(*client, instance));
    if (repair && !seen.findings.empty()) {
        for (const AddressFinding& finding : seen.findings) {
            if (finding.repair == AddressFinding::Repair::none) continue;
            const Status mended = mend(*client, instance, finding);
            if (!mended)
                fmt::print(stderr, "{} {}: {}\n", finding.kind, finding.subject, mended.error().message);
            else if (!is_for_programs(common))
                fmt::print("{} {} {}: {}\n", finding.kind, finding.subject, finding.node, finding.fix);
        }
        std::this_thread::sleep_for(after_repair);
        seen = TRY(look(*client, instance));
    }
    print(common, seen);
    return seen.findings.empty() ? 0 : exit_wrong;
}

int ipam_check(const Common& common, bool repair) {
    const auto result = check(common, repair);
    return result ? *result : report(result.error());
}

}  // namespace weft::cli
