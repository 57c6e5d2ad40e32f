// Leader: of several controllers one acts, the holder of Lease kube-system/weft-controller.
//
// acquire() waits until the Lease is ours; keep() renews it and returns when it is lost or stop is asked for. The age
// of another's Lease is measured by our own monotonic clock since we last saw it change. The same identity takes its
// Lease over at once, so a restart costs nothing: whoever uses an identity must hold it alone (main.cpp: a file lock).
// Threads: one at a time. Source: design.md §3.
#pragma once
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "kube/client.h"

namespace weft::controller {

inline constexpr Duration lease_duration = std::chrono::seconds(15);
inline constexpr Duration lease_renew_period = std::chrono::seconds(3);
inline constexpr Duration lease_renew_deadline =
    std::chrono::seconds(10);  // not renewed so long: we stop before others begin

class Leader {
public:
    Leader(kube::Client& client, std::string identity, const Clock& clock = system_clock());

    // One try. true: the Lease is ours, written a moment ago. false: another holds it.
    Result<bool> try_acquire();

    Status acquire(std::stop_token stop);  // timeout when stopped before
    Status keep(std::stop_token stop);     // success: stopped; unavailable: lost

private:
    kube::Client& client_;
    const std::string identity_;
    const Clock& clock_;
    std::string seen_version_;  // the other's Lease as last seen
    MonotonicTime seen_at_{};
};

}  // namespace weft::controller
