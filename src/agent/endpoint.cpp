#include "agent/endpoint.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>

#include "agent/interface_ipv6.h"
#include "agent/routes.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/rollback.h"
#include "cloud/annotations.h"
#include "kernel/ownership.h"

namespace weft::agent {
namespace {

using protocol::cni::Answer;
using protocol::cni::Reply;
using protocol::cni::Request;

void count(const Request& request, Answer answer) {
    metrics::counter(
        "weft_cni_requests_total",
        {{"command", std::string(protocol::cni::command_name(request.command))}, {"code", std::to_string(int(answer))}},
        "CNI requests answered by this node's agent.")
        .add();
}

AttachmentKey key_of(const Request& request) { return {request.container_id, request.ifname}; }

// What a failed step at the kernel means to the runtime (CNI-30, CNI-36).
Answer answer_of(const Error& error) {
    switch (error.code) {
        case Code::already_exists: return Answer::interface_exists;
        case Code::not_found: return Answer::container_unknown;
        case Code::io: return Answer::io_failure;
        default: return Answer::internal;
    }
}

// A port of the node that the runtime says and the Pod does not; "" = none. What is mapped is what the Pod says.
std::string port_not_of(const kube::Object& pod, const Request& request) {
    const auto is_of = [](const json::Value& container, const protocol::cni::HostPort& port) {
        const json::Array* const ports = json::find_array(container, {"ports"});
        return ports != nullptr && std::any_of(ports->begin(), ports->end(), [&](const json::Value& entry) {
                   return json::find_int(entry, {"hostPort"}) == port.number &&
                          json::find_int(entry, {"containerPort"}) == port.target &&
                          json::find_string(entry, {"protocol"}, "TCP") == net::protocol_name(port.protocol);
               });
    };
    for (const protocol::cni::HostPort& port : request.host_ports) {
        bool found = false;
        for (const std::string_view kind : {"containers", "initContainers"})
            for (const json::Value& container : pod.array({"spec", kind})) found = found || is_of(container, port);
        if (!found)
            return "hostPort " + std::to_string(port.number) + " is none of pod " + pod.key().text();
    }
    return "";
}

}  // namespace

EndpointService::EndpointService(const View& view, Tables& tables, AllocationLog& log, Wiring& wiring,
                                 const PodMtu& mtu, const Clock& clock,
                                 std::function<void(const std::string&)> on_allocation)
    : view_(view),
      tables_(tables),
      log_(log),
      wiring_(wiring),
      mtu_(mtu),
      clock_(clock),
      on_allocation_(std::move(on_allocation)) {}

void EndpointService::ask(const Request& request, Respond respond) {
    Answered answered;
    if (request.command == protocol::cni::Command::add) {
        auto reply = add(request);
        if (!reply && waiting_.size() < waiting_max) {
            waiting_.push_back({request, std::move(respond), clock_.now() + patience, reply.error()});
            return;
        }
        answered.reply = reply ? *reply : Reply::error(Answer::try_again, reply.error().why, "too many ADDs wait");
    } else if (request.command == protocol::cni::Command::del) {
        answered = del(request);
    } else if (request.command == protocol::cni::Command::check) {
        answered.reply = check(request);
    } else if (request.command == protocol::cni::Command::gc) {
        answered = collect_garbage(request);
    } else {
        answered.reply = status();
    }
    count(request, answered.reply.answer);
    respond(std::move(answered));
}

void EndpointService::retry_waiting() {
    for (auto at = waiting_.begin(); at != waiting_.end();) {
        auto reply = add(at->request);
        if (!reply) {
            at->reason = reply.error();
            ++at;
            continue;
        }
        count(at->request, reply->answer);
        at->respond({std::move(*reply), {}});
        at = waiting_.erase(at);
    }
}

void EndpointService::expire_waiting() {
    retry_waiting();
    for (auto at = waiting_.begin(); at != waiting_.end();) {
        if (at->deadline > clock_.now()) {
            ++at;
            continue;
        }
        count(at->request, at->reason.answer);
        at->respond({Reply::error(at->reason.answer, at->reason.why, "waited 5 s"), {}});
        at = waiting_.erase(at);
    }
}

std::optional<MonotonicTime> EndpointService::next_deadline() const {
    std::optional<MonotonicTime> next;
    for (const Waiting& waiting : waiting_)
        if (!next || waiting.deadline < *next) next = waiting.deadline;
    return next;
}

std::expected<Reply, EndpointService::NotYet> EndpointService::add(const Request& request) {
    if (auto reply = existing(request)) return *reply;
    const auto chosen = choose(request);
    if (!chosen && chosen.error().is_final) return Reply::error(chosen.error().answer, chosen.error().why);
    const Allocation allocation = TRY(chosen);
    const kube::ObjectPtr pod = view_.pods.get({request.pod_namespace, request.pod_name});
    if (const std::string owner = pod && host_port_owner_ ? host_port_owner_(*pod) : ""; !owner.empty())
        return Reply::error(Answer::host_port_taken, "a hostPort of pod " + pod->key().text() + " is in use", owner);
    return wire(allocation);
}

// An ADD again is refused while the attachment stands: a runtime that lost our answer calls DEL first (CNI-30). What a
// crash or a vanished namespace left is taken away.
std::optional<Reply> EndpointService::existing(const Request& request) {
    const Allocation* found = log_.find(key_of(request));
    if (found == nullptr) return std::nullopt;
    const Allocation allocation = *found;
    if (allocation.confirmed && allocation.netns == request.netns) {
        const auto socket = wiring_.inspect(plug_of(allocation));
        if (socket)
            return Reply::error(Answer::interface_exists, request.ifname + " is there already, from an ADD before",
                                "DEL takes it away");
        if (socket.error().code != Code::not_found)
            return Reply::error(Answer::interface_exists, "the attachment exists and differs", socket.error().message);
    }
    (void)wiring_.disconnect(allocation.host_link);
    if (const Status forgotten = forget(allocation); !forgotten)
        return Reply::error(Answer::io_failure, "take the old attachment away", forgotten.error().message);
    return std::nullopt;
}

std::expected<Allocation, EndpointService::NotYet> EndpointService::choose(const Request& request) const {
    const auto not_yet = [](Answer answer, std::string why) { return std::unexpected(NotYet{answer, std::move(why)}); };
    const std::string name = request.pod_namespace + "/" + request.pod_name;
    const kube::ObjectPtr pod = view_.pods.get({request.pod_namespace, request.pod_name});
    if (!pod) return not_yet(Answer::try_again, "pod " + name + " is not bound to this node as far as the agent knows");
    if (!request.pod_uid.empty() && pod->uid() != request.pod_uid)
        return not_yet(Answer::try_again,
                       "pod " + name + " has UID " + std::string(pod->uid()) + ", not " + request.pod_uid);
    if (const std::string odd = port_not_of(*pod, request); !odd.empty())
        return std::unexpected(NotYet{Answer::invalid_config, "runtimeConfig.portMappings: " + odd, true});
    const std::string_view vswitch_name = pod->annotation(cloud::chosen_vswitch_annotation);
    if (vswitch_name.empty()) return not_yet(Answer::try_again, "pod " + name + " has no vSwitch yet");

    const auto vpc = view_.vpc_of_namespace(request.pod_namespace);
    if (!vpc) return not_yet(Answer::try_again, vpc.error().message);
    const auto vswitch = view_.vswitch(vswitch_name);
    if (!vswitch) return not_yet(Answer::vswitch_not_found, vswitch.error().message);
    if (vswitch->vpc != vpc->name)
        return not_yet(Answer::vswitch_not_found,
                       "VSwitch " + vswitch->name + " is of VPC " + vswitch->vpc + ", not " + vpc->name);
    if (vpc->ipv6_block && !vswitch->ipv6_given)
        return not_yet(Answer::try_again, "VSwitch " + vswitch->name + " was given no IPv6 block yet");
    Asker asker{request.pod_namespace, request.pod_name, std::nullopt};
    if (const std::string_view reserved = pod->annotation(cloud::reserved_address_annotation); !reserved.empty()) {
        const auto address = net::Address::parse(reserved);
        if (!address) return not_yet(Answer::internal, "pod " + name + ": " + address.error().message);
        asker.address = *address;
    }
    auto choice = choose_address(view_.my_blocks(), *vswitch, log_, uptime_s(clock_), asker);
    if (!request.address.empty()) choice = TRY(choose_wished(request, *vswitch, asker));
    if (!choice && asker.address)
        return not_yet(Answer::try_again, asker.address->text() + ", reserved for pod " + name +
                                              ", is not lent to this node yet, or another pod still has it");
    if (!choice && !may_free_up(*vswitch))
        return not_yet(Answer::address_exhausted, "VSwitch " + vswitch->name + " has no free address at all");
    if (!choice) return not_yet(Answer::try_again, "VSwitch " + vswitch->name + " has no free address on this node");
    const auto id = free_endpoint_id(tables_, endpoint_ids());
    if (!id) return not_yet(Answer::try_again, id.error().message);

    Allocation allocation;
    allocation.key = key_of(request);
    allocation.pod_namespace = request.pod_namespace;
    allocation.pod_name = request.pod_name;
    allocation.pod_uid = pod->uid();
    allocation.netns = request.netns;
    allocation.vpc = vpc->name;
    allocation.vswitch = vswitch->name;
    allocation.block = choice->block;
    allocation.vni = vpc->vni;
    allocation.address = choice->address;
    allocation.ipv6 = cloud::ipv6_of(*vswitch, choice->address);
    allocation.endpoint_id = *id;
    allocation.host_link = kernel::new_pod_link_name();
    allocation.mtu = request.mtu != 0 ? std::min(request.mtu, mtu_.of(*vpc)) : mtu_.of(*vpc);
    allocation.network = request.network;
    allocation.reserved_ms = uptime_ms(clock_);
    return allocation;
}

Reply EndpointService::wire(const Allocation& allocation) {
    const auto refused = [&](Answer answer, const char* doing, const Error& error) {
        return Reply::error(answer, std::string("add ") + allocation.pod_name + ": " + doing, error.message);
    };
    const auto failed = [&](const char* doing, const Error& error) { return refused(answer_of(error), doing, error); };
    const Plug plug = plug_of(allocation);
    if (const Status reserved = log_.reserve(allocation); !reserved)
        return refused(Answer::io_failure, "reserve an address", reserved.error());
    Rollback rollback;
    rollback.on_failure([&] { (void)forget(allocation); });
    const auto socket = wiring_.connect(plug);
    if (!socket) return failed("make the interface", socket.error());
    rollback.on_failure([&] { (void)wiring_.disconnect(plug.host_link); });
    if (const Status put = put_endpoint(tables_, endpoint_of(allocation, *socket)); !put)
        return failed("write the endpoint", put.error());
    if (const Status opened = wiring_.open(plug); !opened) return failed("open the interface", opened.error());
    if (const Status confirmed = log_.confirm(allocation.key); !confirmed)
        return refused(Answer::io_failure, "confirm", confirmed.error());
    rollback.dismiss();
    tell_blocks(allocation.vpc, allocation.address);
    return wired_reply(allocation);
}

EndpointService::Answered EndpointService::del(const Request& request) {
    // An ADD of the same attachment that still waits must not succeed after its DEL.
    for (auto at = waiting_.begin(); at != waiting_.end();) {
        if (key_of(at->request) != key_of(request)) {
            ++at;
            continue;
        }
        at->respond({Reply::error(Answer::try_again, "deleted while waiting"), {}});
        at = waiting_.erase(at);
    }
    const Allocation* found = log_.find(key_of(request));
    if (found == nullptr) return {};
    const Allocation allocation = *found;
    if (const Status forgotten = forget(allocation); !forgotten)
        return {Reply::error(Answer::io_failure, "release " + allocation.address.text(), forgotten.error().message),
                {}};
    return {{}, {allocation.host_link}};
}

Reply EndpointService::check(const Request& request) {
    const Allocation* allocation = log_.find(key_of(request));
    if (allocation == nullptr || !allocation->confirmed)
        return Reply::error(Answer::check_difference, "attachment " + key_of(request).text() + " is not known");
    if (const std::string differs = difference(*allocation); !differs.empty())
        return Reply::error(Answer::check_difference, differs);
    return wired_reply(*allocation);
}

// Undoes everything but the link, whose removal is slow: without rows it is deaf and mute.
Status EndpointService::forget(const Allocation& allocation) {
    TRY(remove_endpoint(tables_, allocation.endpoint_id));
    const std::string vpc = allocation.vpc;  // `allocation` may be the log's own
    const net::Address address = allocation.address;
    TRY(log_.release(allocation.key, uptime_s(clock_)));
    (void)log_.compact_if_worth_it(uptime_s(clock_));
    tell_blocks(vpc, address);
    return {};
}

// Each that holds the address: one that was split may have been lent to us in part again.
void EndpointService::tell_blocks(const std::string& vpc, const net::Address& address) {
    for (const Block& block : view_.my_blocks())
        if (block.vpc == vpc && block.cidr.contains(address)) on_allocation_(block.name);
}

Plug EndpointService::plug_of(const Allocation& allocation) const {
    return {.netns = allocation.netns,
            .ifname = allocation.key.ifname,
            .host_link = allocation.host_link,
            .mac = kernel::endpoint_mac(allocation.endpoint_id),
            .address = allocation.address,
            .ipv6 = allocation.ipv6,
            .mtu = allocation.mtu};
}

bool EndpointService::is_routed(const Allocation& allocation) const {
    const auto vpc = view_.vpc(allocation.vpc);
    if (vpc) return vpc->is_routed;
    // Not legible now: what the data plane has stays.
    const uint32_t* const row = tables_.endpoints.find(abi::endpoint_key_of(VPC_OUTSIDE, allocation.address));
    return row != nullptr && *row == allocation.endpoint_id;
}

Endpoint EndpointService::endpoint_of(const Allocation& allocation, const Socket& socket) const {
    auto routing = routing_of(view_, allocation);
    if (!routing) {  // its VPC or vSwitch is not legible now: what the data plane has stays
        const abi::endpoint* const row = tables_.endpoint.find(allocation.endpoint_id);
        const bool is_own = row != nullptr && row->vpc == allocation.vni;
        routing = is_own ? PodRouting{row->route_table, (row->flags & abi::ENDPOINT_FORWARDS) != 0} : PodRouting{};
    }
    return {.id = allocation.endpoint_id,
            .vpc = allocation.vni,
            .ifindex = socket.ifindex,
            .netns_cookie = socket.netns_cookie,
            .v4 = allocation.address,
            .v6 = allocation.ipv6,
            .mac = kernel::endpoint_mac(allocation.endpoint_id),
            .flags = routing->forwards ? uint32_t(abi::ENDPOINT_FORWARDS) : 0,
            .route_table = routing->table,
            .is_routed = is_routed(allocation)};
}

Reply EndpointService::wired_reply(const Allocation& allocation) const {
    Reply reply;
    reply.wired = {allocation.host_link, gateway_mac().text(),      kernel::endpoint_mac(allocation.endpoint_id).text(),
                   allocation.mtu,       allocation.address.text(), gateway_address().text()};
    if (allocation.ipv6) {
        reply.wired.ipv6 = allocation.ipv6->text();
        reply.wired.ipv6_gateway = gateway_ipv6().text();
    }
    return reply;
}

std::set<uint32_t> EndpointService::endpoint_ids() const {
    std::set<uint32_t> ids;
    for (const auto& [key, allocation] : log_.allocations()) ids.insert(allocation.endpoint_id);
    return ids;
}

void EndpointService::adopt_one(const Allocation& allocation) {
    const Plug plug = plug_of(allocation);
    auto socket = allocation.confirmed ? wiring_.inspect(plug) : Result<Socket>(fail(Code::not_found, "reserved only"));
    if (!socket && socket.error().code == Code::conflict) {
        log::warning("attachment repaired", {{"pod", allocation.pod_namespace + "/" + allocation.pod_name},
                                             {"difference", socket.error().message}});
        if (const Status opened = wiring_.open(plug); opened) socket = wiring_.inspect(plug);
    }
    if (socket) {
        if (const Status put = put_endpoint(tables_, endpoint_of(allocation, *socket)); !put)
            log::error("adopt endpoint", {{"address", allocation.address.text()}, {"error", put.error().message}});
        return;
    }
    if (socket.error().code != Code::not_found) {
        log::error("attachment cannot be repaired",
                   {{"address", allocation.address.text()}, {"error", socket.error().message}});
        return;
    }
    (void)wiring_.disconnect(allocation.host_link);
    if (const Status forgotten = forget(allocation); !forgotten)
        log::error("release address", {{"address", allocation.address.text()}, {"error", forgotten.error().message}});
}

void EndpointService::adopt() {
    is_adopted_ = true;
    const auto allocations = log_.allocations();  // a copy: adopting may release
    for (const auto& [key, allocation] : allocations) adopt_one(allocation);
    const auto links = wiring_.host_links();
    if (!links) return log::error("list links", {{"error", links.error().message}});
    std::set<std::string> known;
    for (const auto& [key, allocation] : log_.allocations()) known.insert(allocation.host_link);
    for (const std::string& link : *links)
        if (kernel::is_pod_link_name(link) && !known.contains(link)) (void)wiring_.disconnect(link);
}

void EndpointService::collect(const std::string& tombstone_folder) {
    if (DIR* folder = ::opendir(tombstone_folder.c_str())) {
        while (const dirent* entry = ::readdir(folder)) {
            if (entry->d_name[0] == '.') continue;
            const std::string path = tombstone_folder + "/" + entry->d_name;
            const auto text = read_file(path);
            const auto request = text ? protocol::cni::decode_request(*text) : Result<Request>(fail(text.error()));
            if (!request) {
                // Half written: its writer failed and its runtime calls DEL again.
                log::warning("tombstone not legible", {{"file", path}, {"error", request.error().message}});
            } else {
                for (const std::string& link : del(*request).links_to_delete) (void)wiring_.disconnect(link);
            }
            ::unlink(path.c_str());
        }
        ::closedir(folder);
    }
    const auto links = wiring_.host_links();
    if (!links) return;
    const std::set<std::string> present(links->begin(), links->end());
    const auto allocations = log_.allocations();
    for (const auto& [key, allocation] : allocations) {
        if (present.contains(allocation.host_link)) continue;
        log::info("interface is gone, address released", {{"pod", allocation.pod_namespace + "/" + allocation.pod_name},
                                                          {"address", allocation.address.text()}});
        (void)forget(allocation);
    }
}

}  // namespace weft::agent
