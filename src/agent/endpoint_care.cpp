// EndpointService, the questions about all attachments: STATUS (could an ADD work?) and GC (release what no runtime
// knows).
#include "agent/endpoint.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace weft::agent {

using protocol::cni::Answer;
using protocol::cni::Reply;
using protocol::cni::Request;

std::string EndpointService::difference(const Allocation& allocation) const {
    const auto socket = wiring_.inspect(plug_of(allocation));
    if (!socket) return socket.error().message;
    const EndpointRows want = desired_rows(endpoint_of(allocation, *socket));
    const EndpointRows have = actual_rows(tables_, allocation.endpoint_id);
    const bool same = want.endpoint == have.endpoint && want.endpoints == have.endpoints && want.netns == have.netns &&
                      want.attachments == have.attachments;
    return same ? "" : "the endpoint's rows in the data plane differ";
}

// CNI-43: 50 when no ADD could work, 51 when a pod that has an interface is cut off.
Reply EndpointService::status() {
    if (!is_adopted_) return Reply::error(Answer::not_available, "the API has not been heard in full yet");
    size_t broken = 0;
    std::string first;
    for (const auto& [key, allocation] : log_.allocations()) {
        if (!allocation.confirmed) continue;
        const auto socket = wiring_.inspect(plug_of(allocation));
        if (!socket && socket.error().code == Code::not_found) continue;  // its namespace went: DEL will follow
        const std::string differs = difference(allocation);
        if (differs.empty()) continue;
        if (broken++ == 0) first = fmt::format("{}/{}: {}", allocation.pod_namespace, allocation.pod_name, differs);
    }
    if (broken > 0)
        return Reply::error(Answer::limited_connectivity, fmt::format("{} pods of this node are cut off", broken),
                            first);

    bool has_address = false;
    for (const Block& block : view_.my_blocks()) {
        const auto vswitch = view_.vswitch(block.vswitch);
        has_address = has_address || (vswitch && choose_address({block}, *vswitch, log_, uptime_s(clock_)));
    }
    size_t vswitches = 0, dry = 0;
    view_.vswitches.for_each([&](const kube::ObjectPtr& vswitch) {
        ++vswitches;
        const json::Value* const available = vswitch->find({"status", "availableIPCount"});
        if (available != nullptr && available->is_int64() && available->get_int64() == 0) ++dry;
    });
    if (!has_address && vswitches > 0 && dry == vswitches)
        return Reply::error(Answer::not_available, "no vSwitch has a free address");
    return {};
}

// CNI-34: an address that the runtime names is that one or an error.
std::expected<Choice, EndpointService::NotYet> EndpointService::choose_wished(const Request& request,
                                                                              const cloud::VSwitch& vswitch,
                                                                              const Asker& asker) const {
    const auto refuse_now = [&](Answer answer, const std::string& why) {
        return std::unexpected(NotYet{answer, "address " + request.address + ": " + why, true});
    };
    const auto address = net::Address::parse(request.address);
    if (!address) return refuse_now(Answer::invalid_config, "not legible");
    if (asker.address && *asker.address != *address)
        return refuse_now(Answer::invalid_config, asker.address->text() + " is kept for the pod");
    if (asker.address) {
        if (const auto kept = choose_address(view_.my_blocks(), vswitch, log_, uptime_s(clock_), asker)) return *kept;
        return std::unexpected(NotYet{Answer::try_again, "address " + request.address + " is not lent to this node yet"});
    }
    const auto choice = wished_address(view_.my_blocks(), vswitch, log_, uptime_s(clock_), *address);
    if (choice) return *choice;
    if (choice.error() == WishProblem::outside)
        return refuse_now(Answer::invalid_config, "VSwitch " + vswitch.name + " gives none such");
    if (choice.error() == WishProblem::taken) return refuse_now(Answer::address_exhausted, "taken");
    return std::unexpected(NotYet{Answer::try_again, "address " + request.address + " is not lent to this node"});
}

// CNI-32: a rest that ends, or a block that the controller can still lease.
bool EndpointService::may_free_up(const cloud::VSwitch& vswitch) const {
    const kube::ObjectPtr object = view_.vswitches.get(vswitch.name);
    const json::Value* const available = object ? object->find({"status", "availableIPCount"}) : nullptr;
    if (available == nullptr || !available->is_int64() || available->get_int64() > 0) return true;
    const auto& cooling = log_.cooling();
    return std::any_of(cooling.begin(), cooling.end(), [&](const auto& resting) {
        return resting.first.vpc == vswitch.vpc && resting.second > uptime_s(clock_) &&
               vswitch.cidr.contains(resting.first.address);
    });
}

// CNI-44, CNI-46. What an ADD made after the list was drawn up cannot be in it.
EndpointService::Answered EndpointService::collect_garbage(const Request& request) {
    std::set<AttachmentKey> valid;
    for (const auto& [container_id, ifname] : request.valid) valid.insert({container_id, ifname});
    Answered answered;
    const auto allocations = log_.allocations();  // a copy: forgetting changes it
    for (const auto& [key, allocation] : allocations) {
        const bool is_of_another = !allocation.network.empty() && allocation.network != request.network;
        if (valid.contains(key) || is_of_another || allocation.reserved_ms >= request.started_ms) continue;
        if (const Status forgotten = forget(allocation); !forgotten) {
            answered.reply =
                Reply::error(Answer::io_failure, "release " + allocation.address.text(), forgotten.error().message);
            continue;
        }
        log::info(
            "no runtime knows it, address released",
            {{"pod", allocation.pod_namespace + "/" + allocation.pod_name}, {"address", allocation.address.text()}});
        answered.links_to_delete.push_back(allocation.host_link);
    }
    return answered;
}

}  // namespace weft::agent
