// PodRun: all that the runtime knows of one pod; owned and changed by the brain's thread only (pods.cpp moves it,
// container.cpp its containers, pod_status.cpp shows it).
//
//   stage      means                                                  leaves when
//   fresh      nothing made yet, or the last try failed               a try is due
//   making     hands wire the namespace and start the shim            they are done
//   linking    the sandbox stands, the shim has not yet told its past it has caught up, or is lost
//   up         containers run                                         the pod is to stop, or is over
//   unmaking   hands take the sandbox down                            they are done
//   over       nothing is left but logs                               its object is gone
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kube/object.h"
#include "protocol/runtime.h"
#include "runtime/account.h"
#include "runtime/probe.h"
#include "runtime/sandbox.h"
#include "runtime/shim.h"
#include "runtime/volumes.h"

namespace weft::runtime {

inline std::optional<MonotonicTime> sooner(std::optional<MonotonicTime> a, std::optional<MonotonicTime> b) {
    if (!a || (b && *b < *a)) return b;
    return a;
}

// Growing waits between tries: 10 s doubling to 5 min, as kubelet's.
struct Backoff {
    static constexpr Duration first = std::chrono::seconds(10);
    static constexpr Duration max = std::chrono::minutes(5);
    Duration current{};  // 0 = none yet

    Duration next() { return current = current.count() == 0 ? first : std::min(current * 2, max); }
    void reset() { current = {}; }
};

struct ContainerRun {
    enum class State : uint8_t { waiting, starting, running, terminated };

    std::string name;
    bool init = false;
    State state = State::waiting;
    std::string reason = "ContainerCreating", message;  // waiting
    unsigned attempt = 0;
    protocol::runtime::Report report;                   // of this attempt: starting, running, terminated
    std::optional<protocol::runtime::Report> last;      // how the attempt before ended
    MonotonicTime started{};
    std::optional<MonotonicTime> next_start;            // unset: at once
    Backoff backoff, image_backoff;
    bool startup_passed = false, ready = false;
    std::optional<ProbeRun> startup, liveness, readiness;
    // A lifecycle hook under way: "PostStart" or "PreStop"; a sleep ends by itself.
    std::string hook;
    std::optional<MonotonicTime> hook_until;

    struct Ending {
        MonotonicTime kill_at;  // SIGKILL then
        bool told = false;      // SIGTERM was sent: the preStop hook is over
    };

    std::optional<Ending> ending;
    std::string image_error;                            // the last one told as an Event
};

struct PodRun {
    enum class Stage : uint8_t { fresh, making, linking, up, unmaking, over };

    kube::ObjectPtr object;  // the newest this process has seen, also by its own writes; kept after the object is gone
    Record record;           // key and uid always; ips once wired
    Stage stage = Stage::fresh;
    bool busy = false;         // hands are at this pod's sandbox; nothing else is decided meanwhile
    std::unique_ptr<ShimLink> link;
    unsigned link_number = 0;  // news of an older link is stale
    std::vector<ContainerRun> containers;
    std::vector<VolumePlan> volumes;  // as they stand on disk
    bool volumes_made = false;
    AccountTokens account;
    std::optional<bool> gets_account;  // as it was when the pod began
    std::string volume_error;  // the last one told as an Event
    std::string started_at;    // status.startTime
    bool stopping = false;
    bool object_gone = false;
    std::optional<MonotonicTime> kill_at;   // stopping
    std::optional<MonotonicTime> retry_at;  // fresh, unmaking
    Duration retry_wait{};
    std::string phase_reason;               // of a Failed pod
};

const json::Value* container_spec(const PodRun& run, const ContainerRun& container);
bool ended(const ContainerRun& container);
// Whether the pod's restart policy starts it again after this end.
bool will_restart(const PodRun& run, const ContainerRun& container);
bool init_done(const PodRun& run);
// Pending, Running, Succeeded, Failed.
std::string_view phase_of(const PodRun& run);

// `object` with the status that this run has; host_ip may be "".
kube::Object with_status(const kube::Object& object, const PodRun& run, const std::string& host_ip, const Clock& clock,
                         const std::string& host_ipv6 = {});

}  // namespace weft::runtime
