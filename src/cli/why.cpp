// weft why NAMESPACE/POD ADDRESS:PORT[/udp|/icmp]
#include "cli/why.h"

#include <fmt/format.h>
#include <linux/pkt_cls.h>

#include <algorithm>
#include <map>

#include "base/rng.h"
#include "cli/conntrack.h"
#include "cli/nodes.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/why_there.h"
#include "cloud/pod_network.h"
#include "kernel/rehearsal.h"

namespace weft::cli {

namespace {

constexpr size_t backends_shown_max = 16;
constexpr unsigned first_ephemeral_port = 32768, ephemeral_ports = 28232;  // net.ipv4.ip_local_port_range
constexpr int dropped_exit_code = 9;                                       // docs/operate/cli.md

using Names = std::map<std::pair<uint32_t, net::Address>, std::string>;  // (vni, address) → "pod default/web-1"

// Who has which address, in every VPC.
struct Cluster {
    std::map<std::string, uint32_t> vni_of_namespace;
    std::map<std::string, std::string> vpc_of_namespace;
    Names names;
};

void add_names(Cluster& cluster, const kube::Object& object, std::string_view word, const json::Array& addresses,
               std::string_view field) {
    const auto vni = cluster.vni_of_namespace.find(std::string(object.ns()));
    if (vni == cluster.vni_of_namespace.end()) return;
    for (const json::Value& entry : addresses) {
        const auto address =
            net::Address::parse(entry.is_string() ? json::view(entry.get_string()) : json::find_string(entry, {field}));
        if (address) cluster.names[{vni->second, *address}] = fmt::format("{} {}/{}", word, object.ns(), object.name());
    }
}

Result<Cluster> read_cluster(kube::Client& client) {
    Cluster cluster;
    std::vector<cloud::Vpc> vpcs;
    for (const kube::Object& object : TRY(client.list(kube::vpcs)).items)
        if (auto vpc = cloud::parse_vpc(object.body())) vpcs.push_back(std::move(*vpc));
    for (const kube::Object& object : TRY(client.list(kube::namespaces)).items) {
        const auto vpc = cloud::vpc_of_namespace(object.body(), vpcs);
        if (!vpc) continue;
        cluster.vni_of_namespace[std::string(object.name())] = vpc->vni;
        cluster.vpc_of_namespace[std::string(object.name())] = vpc->name;
    }
    for (const kube::Object& pod : TRY(client.list(kube::pods)).items)
        if (pod.string({"status", "phase"}) == "Running")
            add_names(cluster, pod, "pod", pod.array({"status", "podIPs"}), "ip");
    for (const kube::Object& service : TRY(client.list(kube::services)).items) {
        add_names(cluster, service, "service", service.array({"spec", "clusterIPs"}), "");
        add_names(cluster, service, "service", service.array({"status", "loadBalancer", "ingress"}), "ip");
    }
    return cluster;
}

// What is known before the program runs.
struct Scene {
    Question question;
    std::string node, vpc;
    uint32_t vni = 0;
    net::Address source;
    uint32_t endpoint_id = 0;
    abi::endpoint endpoint{};
    uint16_t source_port = 0;
    Cluster cluster;
};

Result<net::Address> address_of(const kube::Object& pod, const Question& question) {
    for (const json::Value& entry : pod.array({"status", "podIPs"})) {
        const auto address = net::Address::parse(json::find_string(entry, {"ip"}));
        if (address && address->is_v4() == question.address.is_v4()) return *address;
    }
    return fail(Code::unavailable,
                fmt::format("pod {}/{} has no {} address (phase {}); why: kubectl -n {} describe pod {}", question.ns,
                            question.pod, question.address.is_v4() ? "IPv4" : "IPv6", pod.string({"status", "phase"}),
                            question.ns, question.pod));
}

Result<Scene> set_scene(kube::Client& client, const Question& question) {
    Scene scene;
    scene.question = question;
    const kube::Object pod = TRY(client.get(kube::pods, {question.ns, question.pod}));
    if (pod.boolean({"spec", "hostNetwork"}))
        return fail(Code::invalid, "a pod with hostNetwork sends by its node's own network, not by pod_egress");
    scene.source = TRY(address_of(pod, question));
    scene.node = pod.string({"spec", "nodeName"});
    scene.cluster = TRY(read_cluster(client));
    const auto vni = scene.cluster.vni_of_namespace.find(question.ns);
    if (vni == scene.cluster.vni_of_namespace.end())
        return fail(Code::not_found, "namespace " + question.ns + " has no VPC: kubectl get vpc");
    scene.vni = vni->second;
    scene.vpc = scene.cluster.vpc_of_namespace[question.ns];
    // Some port of the range that kernels choose from.
    uint8_t random[2];
    secure_random(random);
    scene.source_port = uint16_t(first_ephemeral_port + (random[0] << 8 | random[1]) % ephemeral_ports);
    return scene;
}

std::string named(const Scene& scene, uint32_t vni, const End& end, bool has_port = true) {
    const auto name = scene.cluster.names.find({vni, end.address});
    const std::string address = has_port ? end.text() : end.address.text();
    return name == scene.cluster.names.end() ? address : address + " (" + name->second + ")";
}

void line(std::string_view subject, std::string_view text) {
    fmt::print("  {:<10} {}\n", subject, text);
}

// The backends that translate may choose from.
std::vector<std::string> backends_of(const Scene& scene, const kernel::NodeMaps& maps, const abi::frontend& frontend) {
    std::vector<std::string> list;
    for (uint32_t slot = 0; slot < frontend.slots && slot < backends_shown_max; slot++) {
        const auto id = maps.slots->lookup({frontend.service, slot});
        if (!id || !*id) continue;
        const auto backend = maps.backends->lookup(**id);
        if (!backend || !*backend) continue;
        list.push_back(
            named(scene, (*backend)->vpc, {abi::from_abi((*backend)->address), abi::from_abi_port((*backend)->port)}));
    }
    return list;
}

Result<std::optional<abi::frontend>> frontend_of(const Scene& scene, const kernel::NodeMaps& maps) {
    const Question& q = scene.question;
    return maps.frontends->lookup(abi::frontend_key_of(scene.vni, q.address, q.port, q.protocol));
}

// The connection row that the frame made: what pod_egress chose.
const std::pair<const abi::ct_key, abi::ct_entry>* connection_row(const kernel::Rehearsed& seen) {
    for (const auto& row : seen.rows)
        if ((row.second.flags & abi::CT_TRANSLATION_ROW) == 0) return &row;
    return nullptr;
}

Result<bool> is_service_endpoint(const kernel::NodeMaps& maps, uint32_t vni, const net::Address& address) {
    const auto id = TRY(maps.endpoints->lookup(abi::endpoint_key_of(vni, address)));
    const auto endpoint = id ? TRY(maps.endpoint->lookup(*id)) : std::nullopt;
    return endpoint && (endpoint->flags & abi::ENDPOINT_SERVICE) != 0;
}

std::string receiver_text(const Scene& scene, const kernel::NodeMaps& maps, const kernel::Rehearsed& seen, uint32_t vni,
                          const net::Address& destination) {
    const auto id = maps.endpoints->lookup(abi::endpoint_key_of(vni, destination));
    if (id && *id)
        return fmt::format("delivered to {}, endpoint {} of {}", named(scene, vni, {destination, 0}, false), **id,
                           scene.node);
    if (seen.action == TC_ACT_OK) return "passed to the node's own network";
    return "sent out of the uplink of " + scene.node;
}

struct Answer {
    bool goes_on = false;
    bool is_local_address = false;  // of the node's service endpoint: DNS, L7
    net::Address destination;       // after translate
    std::string door, reason, reason_text, next, backend, verdict, answered;
    std::vector<std::string> backends;
    uint32_t vni = 0;           // of the destination
    uint32_t receiver = 0;      // an endpoint of this node
    std::optional<There> there; // on the node that it goes to
};

Result<Answer> interpret(const Scene& scene, const kernel::NodeMaps& maps, const kernel::Rehearsed& seen) {
    Answer answer;
    uint32_t vni = scene.vni;
    net::Address destination = scene.question.address;
    if (const auto frontend = TRY(frontend_of(scene, maps))) answer.backends = backends_of(scene, maps, *frontend);
    if (const auto* row = connection_row(seen)) {
        const Connection connection = connection_of(row->first, row->second, row->second.last_seen_s);
        vni = connection.vpc;
        destination = connection.responder.address;
        if (connection.by) answer.backend = named(scene, vni, connection.responder);
    }
    answer.destination = destination;
    // Over a peering the address means something in the other VPC.
    if (!TRY(maps.endpoints->lookup(abi::endpoint_key_of(vni, destination))) && vni == scene.vni) {
        const auto row =
            TRY(maps.routes->lookup(abi::route_key_of(scene.endpoint.route_table, net::Prefix::host(destination))));
        if (row && row->kind == abi::ROUTE_PEERING) vni = row->target;
    }
    answer.vni = vni;
    answer.is_local_address = TRY(is_service_endpoint(maps, vni, destination));
    if (!seen.reason) {
        answer.goes_on = seen.action == TC_ACT_REDIRECT || seen.action == TC_ACT_OK;
        answer.verdict =
            answer.goes_on ? receiver_text(scene, maps, seen, vni, destination) : fmt::format("action {}", seen.action);
        answer.receiver = TRY(maps.endpoints->lookup(abi::endpoint_key_of(vni, destination))).value_or(0);
        return answer;
    }
    answer.reason = abi::drop_reason_name(*seen.reason);
    answer.reason_text = abi::drop_reason_text(*seen.reason);
    answer.next = abi::drop_reason_next(*seen.reason);
    answer.door = door_of(*seen.reason);
    answer.verdict = "dropped: " + answer.reason;
    if (seen.action == TC_ACT_REDIRECT)
        if (const auto reply = net::read_packet(seen.frame)) answer.answered = reply->text();
    return answer;
}

std::string route_text(const Scene& scene, const kernel::NodeMaps& maps, const Answer& answer) {
    if (answer.is_local_address) return "the service endpoint on this node";
    const auto row =
        maps.routes->lookup(abi::route_key_of(scene.endpoint.route_table, net::Prefix::host(answer.destination)));
    if (!row || !*row) return "outside the VPC";
    switch ((*row)->kind) {
        case abi::ROUTE_LOCAL:
            return "inside the VPC";
        case abi::ROUTE_SERVICES:
            return "the VPC's Service CIDR";
        case abi::ROUTE_BLACKHOLE:
            return "blackhole";
        case abi::ROUTE_PEERING:
            return fmt::format("a peering, into the VPC with vni {}", (*row)->target);
        case abi::ROUTE_ENDPOINT:
            return "the next hop " + abi::from_abi((*row)->via).text();
        case abi::ROUTE_NAT:
            return "a NAT gateway";
        default:
            return fmt::format("kind {}", (*row)->kind);
    }
}

std::string send_text(const kernel::NodeMaps& maps, const Answer& answer) {
    if (answer.there) return fmt::format("to the node at {}", answer.there->underlay.text());
    const auto row = maps.endpoint->lookup(answer.receiver);
    if (answer.receiver == 0 || !row || !*row) return "passes";
    return fmt::format("into the namespace behind interface {}: its own kernel decides the rest", (*row)->ifindex);
}

void print_there(const There& there) {
    if (there.doors.empty()) return;
    fmt::print("on {} ({})\n", there.node, there.underlay.text());
    for (const auto& [door, text] : there.doors) line(door, text);
}

void print_doors(const Scene& scene, const kernel::NodeMaps& maps, const Answer& answer) {
    for (const std::string_view door : doors()) {
        if (door == answer.door) {
            line(door, fmt::format("DROPS it: {}: {}", answer.reason, answer.reason_text));
            return;
        }
        if (door == "identify") {
            line(door, fmt::format("endpoint {} in VPC {} (vni {}), interface {}", scene.endpoint_id, scene.vpc,
                                   scene.vni, scene.endpoint.ifindex));
        } else if (door == "translate" && !answer.backend.empty()) {
            line(door, fmt::format("to {}, one of {}", answer.backend, std::max<size_t>(1, answer.backends.size())));
            for (const std::string& backend : answer.backends)
                if (answer.backends.size() > 1) line("", "  " + backend);
        } else if (door == "translate" && answer.is_local_address) {
            line(door, "an address of this node's own DNS or L7 balancer: stays as it is");
        } else if (door == "translate") {
            line(door, "no Service has this address and port: stays as it is");
        } else if (door == "route") {
            line(door, route_text(scene, maps, answer));
        } else if (door == "send") {
            line(door, send_text(maps, answer));
        } else {
            line(door, "passes");
        }
    }
}

void print_answer(const Scene& scene, const kernel::Rehearsal& rehearsal, const Answer& answer) {
    const Question& q = scene.question;
    const bool has_port = q.protocol != net::Protocol::icmp;
    fmt::print("{} → {} {}, on {}\n", named(scene, scene.vni, {scene.source, scene.source_port}, has_port),
               named(scene, scene.vni, {q.address, q.port}, has_port), protocol_text(uint8_t(q.protocol)), scene.node);
    print_doors(scene, rehearsal.maps(), answer);
    if (answer.there) print_there(*answer.there);
    line("verdict", answer.verdict);
    if (!answer.answered.empty()) line("answered", "the sender gets " + answer.answered);
    if (!answer.next.empty()) line("next", answer.next);
    if (!rehearsal.is_the_running_program())
        line("warning", "the node runs another build of pod_egress than this weft: weft down, weft up");
}

void print_for_programs(const Common& common, const Scene& scene, const kernel::Rehearsal& rehearsal,
                        const Answer& answer) {
    json::Object out;
    out["node"] = scene.node;
    out["vpc"] = scene.vpc;
    out["vni"] = scene.vni;
    out["source"] = scene.source.text();
    out["destination"] = End{scene.question.address, scene.question.port}.text();
    out["protocol"] = protocol_text(uint8_t(scene.question.protocol));
    out["goesOn"] = answer.goes_on;
    out["verdict"] = answer.verdict;
    out["door"] = answer.door;
    out["reason"] = answer.reason;
    out["reasonText"] = answer.reason_text;
    out["next"] = answer.next;
    out["backend"] = answer.backend;
    out["answered"] = answer.answered;
    if (answer.there) {
        json::Object there;
        there["node"] = answer.there->node;
        there["underlay"] = answer.there->underlay.text();
        there["goesOn"] = answer.there->goes_on;
        there["door"] = answer.there->door;
        there["reason"] = answer.there->reason;
        json::Array doors;
        for (const auto& [door, text] : answer.there->doors)
            doors.push_back(json::Object{{"door", door}, {"text", text}});
        there["doors"] = std::move(doors);
        out["there"] = std::move(there);
    }
    json::Array backends;
    for (const std::string& backend : answer.backends) backends.emplace_back(backend);
    out["backends"] = std::move(backends);
    out["sameProgramAsRunning"] = rehearsal.is_the_running_program();
    print_value(common, out);
}

Result<bool> tell(const Common& common, const std::string& who, const std::string& target) {
    const Question question = TRY(parse_question(who, target, common.ns));
    const Instance instance = TRY(find_instance(common));
    const auto client = kube::connect(TRY(find_endpoint(common)));
    Scene scene = TRY(set_scene(*client, question));
    (void)TRY_IN("the pod's node is none of this machine's", node_names(instance, scene.node));
    kernel::Rehearsal rehearsal =
        TRY_IN("is the agent up? (weft status)", kernel::Rehearsal::open(instance.bpf_dir(scene.node)));
    const auto id = TRY(rehearsal.maps().endpoints->lookup(abi::endpoint_key_of(scene.vni, scene.source)));
    const auto endpoint = id ? TRY(rehearsal.maps().endpoint->lookup(*id)) : std::nullopt;
    if (!endpoint)
        return fail(Code::not_found, fmt::format("the data plane of {} does not know {} in VPC {}: weft status",
                                                 scene.node, scene.source.text(), scene.vpc));
    scene.endpoint_id = *id;
    scene.endpoint = *endpoint;
    net::Mac mac;
    std::copy(std::begin(endpoint->mac), std::end(endpoint->mac), mac.bytes.begin());
    const kernel::Netns netns = TRY(kernel::Netns::open(instance.node_netns(scene.node)));
    const kernel::Rehearsed seen =
        TRY(rehearsal.run(netns, int(endpoint->ifindex), first_packet(question, mac, scene.source, scene.source_port)));
    Answer answer = TRY(interpret(scene, rehearsal.maps(), seen));
    if (answer.goes_on && answer.receiver == 0 && seen.action == TC_ACT_REDIRECT) {
        const Here here{instance, scene.node, rehearsal.maps(), scene.endpoint, answer.vni};
        answer.there = TRY(rehearse_there(here, seen.frame, [&](uint32_t vni, const net::Address& address) {
            return named(scene, vni, {address, 0}, false);
        }));
        if (answer.there) {
            answer.goes_on = answer.there->goes_on;
            answer.verdict = answer.there->verdict;
            answer.next = answer.there->next;
        }
    }
    if (is_for_programs(common)) {
        print_for_programs(common, scene, rehearsal, answer);
    } else {
        print_answer(scene, rehearsal, answer);
    }
    return answer.goes_on;
}

}  // namespace

int why(const Common& common, const std::string& who, const std::string& target) {
    const Result<bool> goes_on = tell(common, who, target);
    if (!goes_on) return report(goes_on.error());
    return *goes_on ? 0 : dropped_exit_code;
}

}  // namespace weft::cli
