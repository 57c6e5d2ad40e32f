#include "runtime/pod_run.h"

namespace weft::runtime {

using protocol::runtime::Report;

const json::Value* container_spec(const PodRun& run, const ContainerRun& container) {
    const std::string_view list = container.init ? "initContainers" : "containers";
    for (const json::Value& spec : run.object->array({"spec", list}))
        if (json::find_string(spec, {"name"}) == container.name) return &spec;
    return nullptr;
}

bool ended(const ContainerRun& container) { return container.state == ContainerRun::State::terminated; }

bool will_restart(const PodRun& run, const ContainerRun& container) {
    if (run.stopping) return false;
    const std::string_view policy = run.object->string({"spec", "restartPolicy"}, "Always");
    const bool failed = container.report.exit_code != 0;
    if (container.init) return failed && policy != "Never";
    return policy == "Always" || (policy == "OnFailure" && failed);
}

bool init_done(const PodRun& run) {
    for (const ContainerRun& container : run.containers)
        if (container.init && (!ended(container) || container.report.exit_code != 0)) return false;
    return true;
}

std::string_view phase_of(const PodRun& run) {
    if (!run.phase_reason.empty()) return "Failed";
    bool all_over = true, any_failed = false, any_begun = false, any_never = false;
    for (const ContainerRun& container : run.containers) {
        const bool over = ended(container) && !will_restart(run, container);
        if (over && container.report.exit_code != 0) any_failed = true;
        if (container.init) {
            if (over && container.report.exit_code != 0) return "Failed";  // the others never start
            continue;
        }
        all_over &= over;
        const bool begun = container.attempt > 0 || container.last || container.state == ContainerRun::State::running ||
                           ended(container);
        any_begun |= begun;
        any_never |= !begun;
    }
    if (!init_done(run) || !any_begun) return "Pending";
    if (all_over) return any_failed ? "Failed" : "Succeeded";
    return any_never ? "Pending" : "Running";
}

namespace {

std::string container_id(const PodRun& run, const ContainerRun& container, unsigned attempt) {
    return fmt::format("weft://{}/{}/{}", run.record.uid, container.name, attempt);
}

json::Object terminated_state(const PodRun& run, const ContainerRun& container, const Report& report) {
    const std::string_view reason = !report.error.empty()   ? "StartError"
                                    : report.exit_code == 0 ? "Completed"
                                                            : "Error";
    json::Object state{{"exitCode", report.exit_code},
                       {"reason", reason},
                       {"startedAt", report.started_at},
                       {"finishedAt", report.finished_at},
                       {"containerID", container_id(run, container, report.attempt)}};
    if (report.signal != 0) state["signal"] = report.signal;
    if (!report.error.empty()) state["message"] = report.error;
    return state;
}

json::Object waiting_state(const PodRun& run, const ContainerRun& container) {
    json::Object waiting;
    const bool behind_init = !container.init && !init_done(run) && container.reason == "ContainerCreating";
    waiting["reason"] =
        json::Value(behind_init ? std::string_view("PodInitializing") : std::string_view(container.reason));
    if (!container.message.empty()) waiting["message"] = container.message;
    return waiting;
}

json::Object container_status(const PodRun& run, const ContainerRun& container) {
    const json::Value* spec = container_spec(run, container);
    const std::string_view image = spec == nullptr ? "" : json::find_string(*spec, {"image"});
    const bool made = container.state != ContainerRun::State::waiting || container.attempt > 0;
    json::Object status{{"name", container.name},
                        {"image", image},
                        {"imageID", made ? image : ""},
                        {"restartCount", container.attempt}};
    const bool running = container.state == ContainerRun::State::running;
    status["ready"] = container.init ? ended(container) && container.report.exit_code == 0 : running && container.ready;
    status["started"] = running && container.startup_passed && container.hook != "PostStart";
    if (running) {
        status["state"] = json::Object{{"running", json::Object{{"startedAt", container.report.started_at}}}};
        status["containerID"] = container_id(run, container, container.attempt);
    } else if (ended(container)) {
        status["state"] = json::Object{{"terminated", terminated_state(run, container, container.report)}};
        status["containerID"] = container_id(run, container, container.attempt);
    } else {
        status["state"] = json::Object{{"waiting", waiting_state(run, container)}};
    }
    status["lastState"] = json::Object{};
    if (container.last)
        status["lastState"] = json::Object{{"terminated", terminated_state(run, container, *container.last)}};
    return status;
}

struct Readiness {
    bool ready = true;
    std::string unready;  // names
};

Readiness containers_readiness(const PodRun& run) {
    Readiness readiness;
    for (const ContainerRun& container : run.containers) {
        if (container.init || (container.state == ContainerRun::State::running && container.ready)) continue;
        readiness.ready = false;
        readiness.unready += (readiness.unready.empty() ? "" : " ") + container.name;
    }
    return readiness;
}

void set_conditions(kube::Object& object, const PodRun& run, std::string_view phase, const Clock& clock) {
    const bool over = phase == "Succeeded" || phase == "Failed";
    Readiness readiness = containers_readiness(run);
    std::string reason = over ? (phase == "Succeeded" ? "PodCompleted" : "PodFailed") : "ContainersNotReady";
    std::string message =
        over ? "" : fmt::format("containers with unready status: [{}]", readiness.unready);
    set_condition(object, "PodReadyToStartContainers", !run.record.ips.empty() && run.stage != PodRun::Stage::over, "",
                  "", clock);
    set_condition(object, "Initialized", init_done(run), init_done(run) ? "" : "ContainersNotInitialized", "", clock);
    const bool containers_ready = readiness.ready && !over;
    set_condition(object, "ContainersReady", containers_ready, containers_ready ? "" : reason,
                  containers_ready ? "" : message, clock);
    bool ready = containers_ready;
    for (const json::Value& gate : object.array({"spec", "readinessGates"})) {
        const std::string_view type = json::find_string(gate, {"conditionType"});
        if (!ready || condition_is(object, type, "True")) continue;
        ready = false;
        reason = "ReadinessGatesNotReady";
        message =
            fmt::format("corresponding condition of pod readiness gate \"{}\" does not exist or is not True.", type);
    }
    set_condition(object, "Ready", ready, ready ? "" : reason, ready ? "" : message, clock);
}

}  // namespace

kube::Object with_status(const kube::Object& object, const PodRun& run, const std::string& host_ip,
                         const Clock& clock, const std::string& host_ipv6) {
    kube::Object next = object;
    const std::string_view phase = phase_of(run);
    next.set({"status", "phase"}, phase);
    next.set({"status", "startTime"}, run.started_at);
    next.set({"status", "qosClass"}, "BestEffort");
    if (!run.phase_reason.empty()) next.set({"status", "reason"}, run.phase_reason);
    if (!host_ip.empty()) {
        next.set({"status", "hostIP"}, host_ip);
        json::Array host_ips{json::Object{{"ip", host_ip}}};
        if (!host_ipv6.empty()) host_ips.push_back(json::Object{{"ip", host_ipv6}});
        next.set({"status", "hostIPs"}, std::move(host_ips));
    }
    if (!run.record.ips.empty()) {
        json::Array ips;
        for (const std::string& ip : run.record.ips) ips.push_back(json::Object{{"ip", ip}});
        next.set({"status", "podIP"}, run.record.ips.front());
        next.set({"status", "podIPs"}, std::move(ips));
    }
    json::Array statuses, init_statuses;
    for (const ContainerRun& container : run.containers)
        (container.init ? init_statuses : statuses).push_back(container_status(run, container));
    next.set({"status", "containerStatuses"}, std::move(statuses));
    if (!init_statuses.empty()) next.set({"status", "initContainerStatuses"}, std::move(init_statuses));
    set_conditions(next, run, phase, clock);
    return next;
}

}  // namespace weft::runtime
