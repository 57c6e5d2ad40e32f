#include "runtime/container.h"

#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "runtime/plan.h"

namespace weft::runtime {

using protocol::runtime::Launch;
using protocol::runtime::Order;
using protocol::runtime::Report;

static constexpr Duration config_retry = std::chrono::seconds(10);
static constexpr Duration calm_after = std::chrono::minutes(10);  // a run this long forgives earlier crashes

static std::optional<MonotonicTime> sooner(std::optional<MonotonicTime> a, std::optional<MonotonicTime> b) {
    if (!a || (b && *b < *a)) return b;
    return a;
}

static Report ended_report(const ContainerRun& container, unsigned attempt, const json::Value& terminated) {
    Report report;
    report.container = container.name;
    report.attempt = attempt;
    report.exit_code = int(json::find_int(terminated, {"exitCode"}));
    report.signal = int(json::find_int(terminated, {"signal"}));
    report.error = json::find_string(terminated, {"message"});
    report.started_at = json::find_string(terminated, {"startedAt"});
    report.finished_at = json::find_string(terminated, {"finishedAt"});
    return report;
}

static void remember(ContainerRun& container, const json::Value& status, bool adopted, const Clock& clock) {
    container.attempt = unsigned(json::find_int(status, {"restartCount"}));
    if (const json::Value* last = json::find(status, {"lastState", "terminated"}))
        container.last = ended_report(container, container.attempt == 0 ? 0 : container.attempt - 1, *last);
    if (adopted || container.init) return;
    const json::Value* terminated = json::find(status, {"state", "terminated"});
    const json::Value* running = json::find(status, {"state", "running"});
    if (terminated == nullptr && running == nullptr) return;
    container.report = ended_report(container, container.attempt, terminated != nullptr ? *terminated : *running);
    container.state = ContainerRun::State::terminated;
    if (terminated != nullptr) return;
    container.report.signal = SIGKILL;
    container.report.exit_code = 128 + SIGKILL;
    container.report.finished_at = rfc3339(clock.wall());
}

void ContainerSteps::prepare(PodRun& run, bool adopted) const {
    for (const bool init : {true, false}) {
        for (const json::Value& spec : run.object->array({"spec", init ? "initContainers" : "containers"})) {
            ContainerRun container;
            container.name = json::find_string(spec, {"name"});
            container.init = init;
            const std::string_view list = init ? "initContainerStatuses" : "containerStatuses";
            for (const json::Value& status : run.object->array({"status", list}))
                if (json::find_string(status, {"name"}) == container.name)
                    remember(container, status, adopted, world_.brain.clock());
            run.containers.push_back(std::move(container));
        }
    }
}

std::optional<MonotonicTime> ContainerSteps::step(PodRun& run, ContainerRun& container) {
    const MonotonicTime now = world_.brain.clock().now();
    if (ended(container) && will_restart(run, container)) plan_restart(run, container);
    if (container.state == ContainerRun::State::waiting && may_start(run, container)) {
        if (!container.next_start || *container.next_start <= now) start(run, container);
        return container.state == ContainerRun::State::waiting ? container.next_start : std::nullopt;
    }
    if (container.state != ContainerRun::State::running) return std::nullopt;
    if (container.kill_at) {
        if (*container.kill_at > now) return container.kill_at;
        (void)run.link->send({Order::Kind::signal, {}, container.name, SIGKILL});
        container.kill_at.reset();
    }
    std::optional<MonotonicTime> due;
    const std::pair<std::optional<ProbeRun>*, std::string_view> probes[] = {
        {&container.startup, "Startup"}, {&container.liveness, "Liveness"}, {&container.readiness, "Readiness"}};
    for (const auto& [probe, kind] : probes) {
        if (!*probe || (kind == "Startup") == container.startup_passed) continue;
        if ((*probe)->due(now)) ask_probe(run, container, **probe, kind);
        due = sooner(due, (*probe)->next_due());
    }
    return due;
}

bool ContainerSteps::may_start(const PodRun& run, const ContainerRun& container) const {
    if (run.stopping || !run.link || phase_of(run) == "Failed") return false;
    if (!container.init) return init_done(run);
    for (const ContainerRun& other : run.containers) {
        if (&other == &container) return true;
        if (!ended(other) || other.report.exit_code != 0) return false;
    }
    return true;
}

void ContainerSteps::start(PodRun& run, ContainerRun& container) {
    const json::Value* spec = container_spec(run, container);
    if (spec == nullptr) return;
    const std::string_view image_name = json::find_string(*spec, {"image"});
    const Result<Image> image = world_.image(image_name);
    if (!image) return wait_for_image(run, container, image.error());
    const kube::Object& pod = *run.object;
    const std::string ns(pod.ns());
    const PlanInputs inputs{
        pod,
        *spec,
        *image,
        run.record.ips.empty() ? "" : run.record.ips.front(),
        world_.host_ip,
        world_.vpc_view(ns).api_host,
        [&](std::string_view name) { return world_.config_maps.get(kube::ObjectKey{ns, std::string(name)}); },
        [&](std::string_view name) { return world_.secrets.get(kube::ObjectKey{ns, std::string(name)}); }};
    Result<Launch> plan = plan_container(inputs);
    const std::string folder = world_.sandboxes.folder(run.record.uid);
    if (plan) {
        plan->attempt = container.attempt;
        plan->cgroup = world_.sandboxes.cgroup(run.record.uid, container.name);
        plan->log_file = world_.sandboxes.log_file(run.record.uid, container.name, container.attempt);
        for (const std::string file : {"resolv.conf", "hosts", "hostname", "nsswitch.conf"})
            plan->mounts.push_back({folder + "/etc/" + file, "/etc/" + file});
        // The log before the previous one is nobody's any more.
        if (container.attempt >= 2)
            for (const char* end : {"", ".1"})
                (void)::unlink(
                    (world_.sandboxes.log_file(run.record.uid, container.name, container.attempt - 2) + end).c_str());
        // exec (exec.cpp) enters the container with this.
        const Status kept = write_file(folder + "/" + container.name + ".json", encode(*plan));
        const Status logs = make_directories(plan->log_file.substr(0, plan->log_file.rfind('/')), 0700);
        if (!kept || !logs) plan = fail(!kept ? kept.error() : logs.error());
    }
    if (!plan) {
        container.next_start = world_.brain.clock().now() + config_retry;
        if (container.message != plan.error().message)
            world_.events.warning(pod, "Failed", "Error: " + plan.error().message);
        container.reason = "CreateContainerConfigError";
        container.message = plan.error().message;
        return;
    }
    if (!run.link->send({Order::Kind::start, *plan, "", 0})) return;  // the link says so itself
    container.state = ContainerRun::State::starting;
    container.next_start.reset();
    container.image_backoff.reset();
    world_.events.normal(pod, "Pulled", fmt::format("Container image \"{}\" already present on machine", image_name));
}

void ContainerSteps::wait_for_image(PodRun& run, ContainerRun& container, const Error& error) {
    const bool first = container.image_backoff.current.count() == 0;
    const json::Value* spec = container_spec(run, container);
    const std::string_view image = json::find_string(*spec, {"image"});
    container.next_start = world_.brain.clock().now() + container.image_backoff.next();
    container.reason = first ? "ErrImagePull" : "ImagePullBackOff";
    container.message =
        first ? error.message : fmt::format("Back-off pulling image \"{}\": ErrImagePull: {}", image, error.message);
    if (first) {
        world_.events.warning(*run.object, "Failed",
                              fmt::format("Failed to pull image \"{}\": {}", image, error.message));
        world_.events.warning(*run.object, "Failed", "Error: ErrImagePull");
    } else {
        world_.events.normal(*run.object, "BackOff", fmt::format("Back-off pulling image \"{}\"", image));
        world_.events.warning(*run.object, "Failed", "Error: ImagePullBackOff");
    }
}

void ContainerSteps::heard(PodRun& run, Report&& report) {
    for (ContainerRun& container : run.containers) {
        if (container.name != report.container || report.attempt < container.attempt) continue;
        const bool was_running =
            container.state == ContainerRun::State::running && container.report.attempt == report.attempt;
        if (container.report == report && (was_running || ended(container))) return;
        container.attempt = report.attempt;
        container.report = std::move(report);
        if (!was_running && container.report.error.empty()) begin_running(run, container);
        if (container.report.running) return;
        container.state = ContainerRun::State::terminated;
        container.ready = false;
        container.kill_at.reset();
        if (!container.report.error.empty())
            world_.events.warning(*run.object, "Failed", "Error: " + container.report.error);
        return;
    }
}

void ContainerSteps::begin_running(PodRun& run, ContainerRun& container) {
    const MonotonicTime now = world_.brain.clock().now();
    container.state = ContainerRun::State::running;
    container.started = now;
    container.kill_at.reset();
    const json::Value* spec = container_spec(run, container);
    const auto probe_of = [&](std::string_view field) -> std::optional<ProbeRun> {
        const json::Value* probe = spec == nullptr ? nullptr : json::find(*spec, {field});
        if (probe == nullptr) return std::nullopt;
        Result<ProbeConfig> config = parse_probe(*probe, *spec);
        if (config) return ProbeRun(std::move(*config), field != "livenessProbe");
        world_.events.warning(*run.object, "Unhealthy", fmt::format("{}: {}", field, config.error().message));
        return std::nullopt;
    };
    container.startup = probe_of("startupProbe");
    container.liveness = probe_of("livenessProbe");
    container.readiness = probe_of("readinessProbe");
    container.startup_passed = !container.startup;
    // A readiness probe that cannot be asked must not let traffic in.
    container.ready =
        container.startup_passed && !container.readiness && (spec == nullptr || !json::has(*spec, {"readinessProbe"}));
    for (std::optional<ProbeRun>* probe : {&container.startup, &container.liveness, &container.readiness})
        if (*probe) (*probe)->start(now);
    if (container.report.running) world_.events.normal(*run.object, "Started", "Started container " + container.name);
}

void ContainerSteps::plan_restart(PodRun& run, ContainerRun& container) {
    const MonotonicTime now = world_.brain.clock().now();
    if (container.report.error.empty() && now - container.started > calm_after) container.backoff.reset();
    // The first restart is immediate, then 10 s, 20 s, ...
    const bool first = !container.last;
    container.last = container.report;
    container.attempt++;
    container.state = ContainerRun::State::waiting;
    container.reason = "ContainerCreating";
    container.message.clear();
    container.next_start.reset();
    if (first) return;
    const Duration wait = container.backoff.next();
    container.next_start = now + wait;
    container.reason = "CrashLoopBackOff";
    container.message = fmt::format("back-off {}s restarting failed container={} pod={}_{}({})",
                                    std::chrono::duration_cast<std::chrono::seconds>(wait).count(), container.name,
                                    run.object->name(), run.object->ns(), run.record.uid);
    world_.events.warning(
        *run.object, "BackOff",
        fmt::format("Back-off restarting failed container {} in pod {}", container.name, run.object->key().text()));
}

void ContainerSteps::ask_probe(PodRun& run, ContainerRun& container, ProbeRun& probe, std::string_view kind) {
    probe.asked();
    world_.askers.submit([this, question = probe.config().question, ip = run.record.ips.front(), uid = run.record.uid,
                          netns = world_.sandboxes.netns_path(run.record.uid), name = container.name,
                          attempt = container.attempt, kind] {
        const Status answer = ask(question, ip, netns);
        world_.brain.post([this, uid, name, attempt, kind, answer] { on_answer_(uid, name, attempt, kind, answer); });
    });
}

void ContainerSteps::answered(PodRun& run, const std::string& name, unsigned attempt, std::string_view kind,
                              const Status& answer) {
    for (ContainerRun& container : run.containers) {
        if (container.name != name || container.attempt != attempt || container.state != ContainerRun::State::running)
            continue;
        std::optional<ProbeRun>& probe =
            kind == "Startup" ? container.startup : kind == "Liveness" ? container.liveness : container.readiness;
        if (!probe) return;
        const MonotonicTime now = world_.brain.clock().now();
        const ProbeRun::Verdict verdict = probe->answered(answer.has_value(), now);
        if (verdict == ProbeRun::Verdict::early) return;
        if (!answer)
            world_.events.warning(*run.object, "Unhealthy",
                                  fmt::format("{} probe failed: {}", kind, answer.error().message));
        if (verdict == ProbeRun::Verdict::undecided) return;
        const bool passed = verdict == ProbeRun::Verdict::passed;
        if (kind == "Readiness") {
            container.ready = passed;
        } else if (!passed) {
            kill(run, container,
                 fmt::format("Container {} failed {} probe", name, kind == "Startup" ? "startup" : "liveness"));
        } else if (kind == "Startup" && !container.startup_passed) {
            container.startup_passed = true;
            const json::Value* spec = container_spec(run, container);
            container.ready = !container.readiness && (spec == nullptr || !json::has(*spec, {"readinessProbe"}));
            if (container.liveness) container.liveness->start(now);
            if (container.readiness) container.readiness->start(now);
        }
    }
}

void ContainerSteps::kill(PodRun& run, ContainerRun& container, std::string_view why) {
    if (container.kill_at || !run.link) return;
    world_.events.normal(*run.object, "Killing", fmt::format("{}, will be restarted", why));
    (void)run.link->send({Order::Kind::signal, {}, container.name, SIGTERM});
    const int64_t grace_s = run.object->integer({"spec", "terminationGracePeriodSeconds"}, 30);
    container.kill_at = world_.brain.clock().now() + std::chrono::seconds(grace_s);
    container.ready = false;
}

void ContainerSteps::lost(PodRun& run) {
    for (ContainerRun& container : run.containers) {
        if (container.state != ContainerRun::State::running && container.state != ContainerRun::State::starting)
            continue;
        Report& report = container.report;
        report.container = container.name;
        report.attempt = container.attempt;
        report.running = false;
        report.pid = 0;
        report.signal = SIGKILL;
        report.exit_code = 128 + SIGKILL;
        report.finished_at = rfc3339(world_.brain.clock().wall());
        if (report.started_at.empty()) report.started_at = report.finished_at;
        container.state = ContainerRun::State::terminated;
        container.ready = false;
        container.kill_at.reset();
    }
}

}  // namespace weft::runtime
