#include "runtime/container.h"

#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "runtime/plan.h"
#include "runtime/service_links.h"

namespace weft::runtime {

using protocol::runtime::Launch;
using protocol::runtime::Order;
using protocol::runtime::Report;

static constexpr Duration config_retry = std::chrono::seconds(10);
static constexpr Duration calm_after = std::chrono::minutes(10);  // a run this long forgives earlier crashes

// What was under way with a process that is no more.
static void forget_doings(ContainerRun& container) {
    container.ready = false;
    container.ending.reset();
    container.hook.clear();
    container.hook_until.reset();
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
    if (adopted) {
        container.ready = json::find_bool(status, {"ready"});
        container.startup_passed = json::find_bool(status, {"started"});
    }
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
    if (container.hook_until && *container.hook_until <= now) {
        container.hook_until.reset();
        hook_ended(run, container, std::string(container.hook), {});
    }
    if (container.ending) return step_ending(run, container);
    if (!container.hook.empty()) return container.hook_until;  // nothing is asked before postStart is over
    return step_probes(run, container);
}

bool ContainerSteps::may_start(const PodRun& run, const ContainerRun& container) const {
    if (run.stopping || !run.link || phase_of(run) == "Failed") return false;
    if (!container.init && !init_done(run)) return false;
    for (const ContainerRun& other : run.containers) {
        if (&other == &container) return true;
        if (!container.init) {
            // Containers begin in their order; the next one waits for a postStart hook.
            if (other.hook == "PostStart") return false;
        } else if (!ended(other) || other.report.exit_code != 0) {
            return false;
        }
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
    const Result<Launch> launch = plan(run, container, *spec, *image);
    if (!launch) {
        container.next_start = world_.brain.clock().now() + config_retry;
        if (container.message != launch.error().message)
            world_.events.warning(pod, "Failed", "Error: " + launch.error().message);
        container.reason = "CreateContainerConfigError";
        container.message = launch.error().message;
        return;
    }
    if (!run.link->send({Order::Kind::start, *launch, "", 0})) return;  // the link says so itself
    container.state = ContainerRun::State::starting;
    container.next_start.reset();
    container.image_backoff.reset();
    world_.events.normal(pod, "Pulled", fmt::format("Container image \"{}\" already present on machine", image_name));
    world_.events.normal(pod, "Created", "Created container: " + container.name);
}

// All that the container is to be, kept on disk too: exec (exec.cpp) enters it with this.
Result<Launch> ContainerSteps::plan(const PodRun& run, const ContainerRun& container, const json::Value& spec,
                                    const Image& image) const {
    const kube::Object& pod = *run.object;
    const std::string& uid = run.record.uid;
    const std::string ns(pod.ns());
    const References references = world_.references(ns, run.record.ips);
    const auto volume_folder = [&](std::string_view name) {
        for (const VolumePlan& volume : run.volumes)
            if (volume.name == name)
                return world_.sandboxes.volume_folder(uid, name, volume.kind == VolumePlan::Kind::empty);
        return std::string();
    };
    const bool links = pod.boolean({"spec", "enableServiceLinks"}, true);
    Launch launch =
        TRY(plan_container({pod, spec, image, references, world_.vpc_view(ns).api_host,
                            links ? service_links(world_.services_in(ns)) : EnvironmentLines(), volume_folder}));
    launch.attempt = container.attempt;
    launch.cgroup = world_.sandboxes.cgroup(uid, container.name);
    launch.log_file = world_.sandboxes.log_file(uid, container.name, container.attempt);
    for (const std::string file : {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/etc/nsswitch.conf"}) {
        const bool own = std::any_of(launch.mounts.begin(), launch.mounts.end(),
                                     [&](const auto& mount) { return mount.target == file; });
        if (!own) launch.mounts.push_back({world_.sandboxes.folder(uid) + file, file, "", false});
    }
    const bool has_account = std::any_of(run.volumes.begin(), run.volumes.end(),
                                         [](const VolumePlan& volume) { return volume.name == account_volume; });
    const bool own_account = std::any_of(launch.mounts.begin(), launch.mounts.end(),
                                         [](const auto& mount) { return mount.target == account_mount; });
    if (has_account && !own_account)
        launch.mounts.push_back({volume_folder(account_volume), std::string(account_mount), "", true});
    // The log before the previous one is nobody's any more.
    if (container.attempt >= 2)
        for (const char* end : {"", ".1"})
            (void)::unlink((world_.sandboxes.log_file(uid, container.name, container.attempt - 2) + end).c_str());
    TRY(write_file(world_.sandboxes.plan_file(uid, container.name), encode(launch)));
    TRY(make_directories(launch.log_file.substr(0, launch.log_file.rfind('/')), 0700));
    return launch;
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
        const bool adopted = container.state == ContainerRun::State::waiting;
        if (report.attempt != container.attempt) container.ready = container.startup_passed = false;
        container.attempt = report.attempt;
        container.report = std::move(report);
        if (!was_running && container.report.error.empty()) begin_running(run, container, adopted);
        if (container.report.running) return;
        container.state = ContainerRun::State::terminated;
        forget_doings(container);
        if (!container.report.error.empty())
            world_.events.warning(*run.object, "Failed", "Error: " + container.report.error);
        return;
    }
}

void ContainerSteps::begin_running(PodRun& run, ContainerRun& container, bool adopted) {
    const bool was_ready = adopted && container.ready, had_started = adopted && container.startup_passed;
    container.state = ContainerRun::State::running;
    container.started = world_.brain.clock().now();
    forget_doings(container);
    if (!container.report.running) return;  // it has ended already
    world_.events.normal(*run.object, "Started", "Started container " + container.name);
    // One that an earlier runtime started has had its hook.
    if (adopted || !begin_hook(run, container, "PostStart", grace_of(run))) begin_asking(run, container);
    // A restart of the runtime takes no traffic from it: what its probes said last holds until they say otherwise.
    container.startup_passed |= had_started;
    container.ready |= was_ready;
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
        forget_doings(container);
    }
}

}  // namespace weft::runtime
