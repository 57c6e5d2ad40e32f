#include "controller/leader.h"

#include <condition_variable>
#include <mutex>

#include "base/log.h"

namespace weft::controller {
namespace {

const kube::ObjectKey lease_key{"kube-system", "weft-controller"};
constexpr Duration acquire_period = std::chrono::seconds(1);

// Sleeps, or less when stopped.
void pause(std::stop_token stop, Duration period) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, period, [] { return false; });
}

}  // namespace

Leader::Leader(kube::Client& client, std::string identity, const Clock& clock)
    : client_(client), identity_(std::move(identity)), clock_(clock) {}

Result<bool> Leader::try_acquire() {
    const auto existing = client_.get(kube::leases, lease_key);
    if (!existing && existing.error().code != Code::not_found) return fail(existing.error());
    kube::Object lease = existing ? *existing : kube::Object::of(kube::leases, lease_key);
    const std::string now = rfc3339_micro(clock_.wall());
    const std::string_view holder = lease.string({"spec", "holderIdentity"});
    if (holder != identity_ && !holder.empty()) {
        if (seen_version_ != lease.resource_version()) {
            seen_version_ = lease.resource_version();
            seen_at_ = clock_.now();
        }
        if (clock_.now() - seen_at_ < lease_duration) return false;
    }
    if (holder != identity_) {
        lease.set({"spec", "leaseTransitions"}, lease.integer({"spec", "leaseTransitions"}) + (holder.empty() ? 0 : 1));
        lease.set({"spec", "acquireTime"}, json::Value(now));
    }
    lease.set({"spec", "holderIdentity"}, json::Value(identity_));
    lease.set({"spec", "leaseDurationSeconds"}, int64_t(lease_duration / std::chrono::seconds(1)));
    lease.set({"spec", "renewTime"}, json::Value(now));
    const auto written = existing ? client_.update(kube::leases, lease) : client_.create(kube::leases, lease);
    if (written) return true;
    if (written.error().code == Code::conflict || written.error().code == Code::already_exists) return false;
    return fail(written.error());
}

Status Leader::acquire(std::stop_token stop) {
    std::string last_error;
    while (!stop.stop_requested()) {
        const auto mine = try_acquire();
        if (mine && *mine) return {};
        const std::string error = mine ? "another controller leads" : mine.error().message;
        if (error != last_error) log::info("not leading yet", {{"reason", error}});
        last_error = error;
        pause(stop, mine ? acquire_period : acquire_period / 5);
    }
    return fail(Code::timeout, "stopped before leading");
}

Status Leader::keep(std::stop_token stop) {
    MonotonicTime renewed = clock_.now();
    while (!stop.stop_requested()) {
        pause(stop, lease_renew_period);
        if (stop.stop_requested()) break;
        const auto mine = try_acquire();
        if (mine && *mine) {
            renewed = clock_.now();
        } else if (clock_.now() - renewed > lease_renew_deadline) {
            return fail(Code::unavailable, mine ? "another controller leads" : mine.error().message);
        }
    }
    return {};
}

}  // namespace weft::controller
