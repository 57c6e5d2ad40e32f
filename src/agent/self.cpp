#include "agent/self.h"

#include <algorithm>

#include <fmt/format.h>

#include "abi/types.h"
#include "base/metrics.h"
#include "kernel/route.h"

namespace weft::agent {
namespace {

struct Self {
    Uplink uplink;
    const kube::Brain& brain;

    std::string lines() const {
        return fmt::format(
            "# HELP weft_node_info The node's underlay address and the version of its data plane.\n"
            "# TYPE weft_node_info gauge\n"
            "weft_node_info{{address=\"{}\",data_plane=\"{}\"}} 1\n"
            "# HELP weft_uplink_mtu_bytes MTU of the uplink.\n"
            "# TYPE weft_uplink_mtu_bytes gauge\n"
            "weft_uplink_mtu_bytes {}\n"
            "# HELP weft_sync_age_seconds Age of the last sign of life of the API, of the kind that is silent longest.\n"
            "# TYPE weft_sync_age_seconds gauge\n"
            "weft_sync_age_seconds {:.3f}\n",
            uplink.address.text(), ABI_VERSION, uplink.mtu, std::chrono::duration<double>(brain.staleness()).count());
    }
};

}  // namespace

static bool has_address(const Uplink& uplink, const net::Address& address) {
    auto netlink = kernel::Netlink::open();
    if (!netlink) return true;
    const auto addresses = kernel::list_addresses(*netlink, int(uplink.ifindex));
    return !addresses || std::any_of(addresses->begin(), addresses->end(),
                                     [&](const kernel::InterfaceAddress& a) { return a.address == address; });
}

std::shared_ptr<void> show_node(const Uplink& uplink, const kube::Brain& brain) {
    const auto self = std::make_shared<Self>(Self{uplink, brain});
    metrics::add_collector([weak = std::weak_ptr(self)]() -> std::string {
        const auto alive = weak.lock();
        return alive ? alive->lines() : std::string();
    });
    return self;
}

void count_pods(kube::Brain& brain, const View& view) {
    metrics::Gauge& pods = metrics::gauge("weft_pods", {}, "Pods of this node that the agent knows of.");
    brain.on_change(view.pods, [&](const kube::ObjectPtr&, const kube::ObjectPtr&) {
        pods.set(int64_t(view.pods.size()));
    });
}

bool has_changed(const std::string& link, const Uplink& uplink) {
    const auto now = find_uplink(link);
    if (!now) return false;
    if (now->ifindex != uplink.ifindex || now->address != uplink.address || now->mac != uplink.mac ||
        now->mtu != uplink.mtu || now->has_ipsec != uplink.has_ipsec)
        return true;
    // Of IPv6 a link may have several, some for a while only: ours must be gone, and another there.
    return now->ipv6 && now->ipv6 != uplink.ipv6 && (!uplink.ipv6 || !has_address(*now, *uplink.ipv6));
}

}  // namespace weft::agent
