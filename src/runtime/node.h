// Node: this node's object and Lease. The object's own fields only: labels, status.{addresses, capacity, allocatable,
// nodeInfo} and the condition Ready; whatever the controller writes there stays. The Lease kube-node-lease/<node> is
// the heartbeat. Threads: register_node blocks, any; the keeper of the Lease is a thread of its own, so a slow brain
// does not look dead.
#pragma once
#include <atomic>
#include <memory>
#include <thread>

#include "kube/client.h"
#include "runtime/main.h"

namespace weft::runtime {

inline constexpr Duration lease_period = std::chrono::seconds(10);
inline constexpr int lease_duration_s = 40;
inline constexpr int pods_max = 250;

// The first IPv4 address of the uplink in the calling thread's network namespace; "" when there is none or it is cut off.
std::string uplink_address(const char* interface = "eth0");
// Its first global IPv6 address; "" = none.
std::string uplink_ipv6_address(const char* interface = "eth0");

// The object as it should be, from what is there; pure.
kube::Object desired_node(const kube::Object& existing, const Options& options, const std::string& address,
                          const Clock& clock = system_clock());
// Creates or repairs it; writes only what differs.
Status register_node(kube::Client& client, const Options& options, const std::string& address);

Status renew_lease(kube::Client& client, const std::string& node, const Clock& clock = system_clock());

class LeaseKeeper {
public:
    LeaseKeeper(kube::Client& client, std::string node);

private:
    std::jthread thread_;
};

}  // namespace weft::runtime
