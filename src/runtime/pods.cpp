#include "runtime/pods.h"

#include <signal.h>

#include "base/log.h"
#include "runtime/plan.h"

namespace weft::runtime {

using kube::Outcome;
using protocol::runtime::Order;
using protocol::runtime::Report;
using Stage = PodRun::Stage;

static constexpr Duration retry_first = std::chrono::milliseconds(500);
static constexpr Duration retry_max = std::chrono::seconds(10);
static constexpr int conflict_tries_max = 4;
static constexpr Duration stop_patience = std::chrono::seconds(5);  // after the grace period, until the shim says so

static bool terminal(std::string_view phase) { return phase == "Succeeded" || phase == "Failed"; }

Pods::Pods(World& world)
    : world_(world),
      steps_(world,
             [this](const std::string& uid, const std::string& container, unsigned attempt, std::string_view kind,
                    const Status& answer) {
                 if (PodRun* run = find(uid)) {
                     steps_.answered(*run, container, attempt, kind, answer);
                     look(uid);
                 }
             }),
      views_(std::make_shared<const PodViews>()) {}

PodRun* Pods::find(const std::string& uid) {
    const auto found = runs_.find(uid);
    return found == runs_.end() ? nullptr : found->second.get();
}

void Pods::look(const std::string& uid) {
    if (const PodRun* run = find(uid)) queue_->add(run->record.key);
}

void Pods::look_again_in(std::string_view ns) {
    for (const auto& [uid, run] : runs_) {
        if (run->record.key.ns != ns) continue;
        for (ContainerRun& container : run->containers)
            if (container.reason == "CreateContainerConfigError") container.next_start.reset();
        look(uid);
    }
}

void Pods::adopt() {
    for (const Record& record : world_.sandboxes.records()) {
        auto run = std::make_unique<PodRun>();
        run->record = record;
        kube::ObjectPtr object = world_.pods.get(record.key);
        if (object && object->uid() == record.uid) {
            run->object = object;
            run->started_at = object->string({"status", "startTime"}, rfc3339(world_.brain.clock().wall()));
            steps_.prepare(*run, true);
            adopt_token(*run);
        } else {
            kube::Object gone = kube::Object::of(kube::pods, record.key);
            gone.set({"metadata", "uid"}, record.uid);
            run->object = std::make_shared<const kube::Object>(std::move(gone));
            run->object_gone = run->stopping = true;
        }
        run->stage = Stage::linking;
        PodRun& kept = *(runs_[record.uid] = std::move(run));
        if (kept.object_gone)
            kept.stage = Stage::unmaking;
        else
            link(kept);
        queue_->add(record.key);
    }
    // Logs of pods that nobody knows any more.
    std::set<std::string> known;
    world_.pods.for_each([&](const kube::ObjectPtr& object) { known.emplace(object->uid()); });
    for (const std::string& uid : world_.sandboxes.state_uids())
        if (!known.contains(uid) && !runs_.contains(uid)) (void)world_.sandboxes.remove_state(uid);
    log::info("pods adopted", {{"count", runs_.size()}});
}

PodRun& Pods::run_of(const kube::ObjectPtr& object) {
    std::unique_ptr<PodRun>& slot = runs_[std::string(object->uid())];
    if (!slot) {
        slot = std::make_unique<PodRun>();
        slot->record.key = object->key();
        slot->record.uid = object->uid();
        slot->object = object;
        slot->started_at = object->string({"status", "startTime"}, rfc3339(world_.brain.clock().wall()));
        steps_.prepare(*slot, false);
        // A pod that was over before this runtime knew it is not run again.
        if (terminal(object->string({"status", "phase"}))) slot->stage = Stage::over;
    }
    // Our own writes may be newer than what the watch has brought.
    const auto version = [](const kube::Object& o) {
        return std::strtoull(std::string(o.resource_version()).c_str(), nullptr, 10);
    };
    if (version(*object) >= version(*slot->object)) slot->object = object;
    return *slot;
}

Outcome Pods::reconcile(const kube::ObjectKey& key) {
    const kube::ObjectPtr object = world_.pods.get(key);
    if (object) run_of(object);
    std::vector<std::string> uids;
    for (const auto& [uid, run] : runs_)
        if (run->record.key == key) uids.push_back(uid);
    Due due;
    Status outcome;
    for (const std::string& uid : uids) {
        PodRun& run = *runs_.at(uid);
        if (!object || object->uid() != uid) run.object_gone = true;
        note_deletion(run);
        due = sooner(due, advance(run));
        if (forget(run, outcome)) {
            runs_.erase(uid);
            continue;
        }
        if (run.stage == Stage::linking) continue;  // what its shim will say is not known yet
        if (Status written = write_status(run); !written) outcome = written;
    }
    publish();
    // An API server that is away takes no status; probes and restarts go on in their time.
    if (!outcome && due)
        queue_->add_after(key, std::max<Duration>(*due - world_.brain.clock().now(), std::chrono::milliseconds(1)));
    if (!outcome && outcome.error().code != Code::conflict && outcome.error().code != Code::not_found)
        return Outcome::failed(outcome.error().in("pod " + key.text()));
    if (!outcome) due = sooner(due, world_.brain.clock().now() + retry_first);
    if (!due) return Outcome::done();
    return Outcome::again(std::max<Duration>(*due - world_.brain.clock().now(), std::chrono::milliseconds(1)));
}

void Pods::note_deletion(PodRun& run) {
    const MonotonicTime now = world_.brain.clock().now();
    if (run.object_gone) {
        run.stopping = true;
        run.kill_at = now;
    } else if (run.object->deleting()) {
        // deletionTimestamp is when the grace ends; a runtime that was restarted meanwhile keeps to it.
        WallTime ends{};
        Duration left = std::chrono::seconds(run.object->integer({"metadata", "deletionGracePeriodSeconds"}, 30));
        if (parse_rfc3339(std::string(run.object->string({"metadata", "deletionTimestamp"})), ends))
            left = std::clamp<Duration>(ends - world_.brain.clock().wall(), Duration::zero(), left);
        const MonotonicTime kill_at = now + left;
        // A second deletion may only shorten the time.
        if (!run.stopping || !run.kill_at || kill_at < *run.kill_at) run.kill_at = kill_at;
        run.stopping = true;
    }
}

Pods::Due Pods::advance(PodRun& run) {
    if (run.busy) return std::nullopt;
    switch (run.stage) {
        case Stage::fresh: return make(run);
        case Stage::up: return step_up(run);
        case Stage::unmaking: return unmake(run);
        case Stage::linking:
            // An orphan has nothing to catch up with.
            if (run.object_gone) {
                run.stage = Stage::unmaking;
                return unmake(run);
            }
            return std::nullopt;
        case Stage::making:
        case Stage::over: return std::nullopt;
    }
    return std::nullopt;
}

Pods::Due Pods::make(PodRun& run) {
    if (run.stopping) {
        run.stage = Stage::unmaking;
        return unmake(run);
    }
    if (terminal(phase_of(run))) {  // it ended with the machine, and its policy lets it rest
        run.stage = Stage::over;
        return std::nullopt;
    }
    if (run.retry_at && *run.retry_at > world_.brain.clock().now()) return run.retry_at;
    run.retry_at.reset();
    run.stage = Stage::making;
    run.busy = true;
    ask_ahead(run);
    const World::VpcView vpc = world_.vpc_view(run.record.key.ns);
    world_.makers.submit([this, key = run.record.key, uid = run.record.uid, object = run.object, vpc] {
        const Result<Record> result = world_.sandboxes.make(key, uid, [&](const std::vector<std::string>& ips) {
            const DnsInputs dns{vpc.cluster_dns, vpc.dns_namespace, read_file("/etc/resolv.conf").value_or("")};
            return PodFiles{resolv_conf(*object, dns), hosts_file(*object, ips, vpc.dns_namespace),
                            pod_hostname(*object)};
        });
        world_.brain.post([this, uid, result] { made(uid, result); });
    });
    return std::nullopt;
}

void Pods::made(const std::string& uid, const Result<Record>& result) {
    PodRun* run = find(uid);
    if (run == nullptr) return;
    run->busy = false;
    if (result) {
        run->record = *result;
        run->retry_wait = {};
        link(*run);
    } else {
        run->stage = Stage::fresh;
        run->retry_wait = run->retry_wait.count() == 0 ? retry_first : std::min(run->retry_wait * 2, retry_max);
        run->retry_at = world_.brain.clock().now() + run->retry_wait;
        world_.events.warning(*run->object, "FailedCreatePodSandBox",
                              "Failed to create pod sandbox: " + result.error().message);
    }
    look(uid);
}

void Pods::link(PodRun& run) {
    run.stage = Stage::linking;
    run.link.reset();
    const unsigned number = ++run.link_number;
    const auto post = [this, uid = run.record.uid, number](std::function<void(PodRun&)> work) {
        world_.brain.post([this, uid, number, work] {
            PodRun* run = find(uid);
            if (run == nullptr || run->link_number != number) return;
            work(*run);
            look(uid);
        });
    };
    auto link = ShimLink::connect(world_.sandboxes.folder(run.record.uid),
                                  {.report = [this, post](Report&& report) {
                                       post([this, report](PodRun& run) { steps_.heard(run, Report(report)); });
                                   },
                                   .caught_up = [post] { post([](PodRun& run) { run.stage = Stage::up; }); },
                                   // A connection may break while the shim lives: ask once more.
                                   .lost = [this, post] { post([this](PodRun& run) { link_again(run); }); }});
    if (link)
        run.link = std::move(*link);
    else
        replace_shim(run);
}

void Pods::link_again(PodRun& run) {
    run.link.reset();
    if (run.stage == Stage::linking || run.stage == Stage::up) link(run);
}

// The shim is dead: so are, or will be, its processes. A new one starts in the same namespace, with the same address.
void Pods::replace_shim(PodRun& run) {
    log::warning("shim lost", {{"pod", run.record.key.text()}});
    steps_.lost(run);
    if (run.stopping) {
        run.stage = Stage::unmaking;
        return;
    }
    run.stage = Stage::making;
    run.busy = true;
    world_.makers.submit([this, uid = run.record.uid, record = run.record] {
        const Status started = world_.sandboxes.restart_shim(uid);
        const Result<Record> result = started ? Result<Record>(record) : fail(started.error());
        world_.brain.post([this, uid, result] { made(uid, result); });
    });
}

Pods::Due Pods::step_up(PodRun& run) {
    if (run.stopping) return stop_containers(run);
    Due due;
    if (!settle_volumes(run, due)) return due;
    for (ContainerRun& container : run.containers) due = sooner(due, steps_.step(run, container));
    if (!terminal(phase_of(run))) return due;
    // Over for good: the address goes back, the logs stay until the object goes.
    run.stage = Stage::unmaking;
    return unmake(run);
}

Pods::Due Pods::stop_containers(PodRun& run) {
    Due due;
    bool any = false;
    for (ContainerRun& container : run.containers) {
        if (container.state == ContainerRun::State::starting) any = true;
        if (container.state != ContainerRun::State::running) continue;
        any = true;
        steps_.stop(run, container, *run.kill_at, "Stopping container " + container.name);
        due = sooner(due, steps_.step(run, container));
    }
    const MonotonicTime patience = *run.kill_at + stop_patience;
    // A shim that has not said that they ended: the cgroup decides.
    if (any && world_.brain.clock().now() < patience) return sooner(due, patience);
    run.stage = Stage::unmaking;
    return unmake(run);
}

Pods::Due Pods::unmake(PodRun& run) {
    if (run.retry_at && *run.retry_at > world_.brain.clock().now()) return run.retry_at;
    run.retry_at.reset();
    if (run.link) (void)run.link->send({Order::Kind::quit, {}, "", 0});
    run.link.reset();
    run.link_number++;
    run.stage = Stage::unmaking;
    run.busy = true;
    world_.makers.submit([this, record = run.record] {
        const Status result = world_.sandboxes.unmake(record);
        world_.brain.post([this, uid = record.uid, result] { unmade(uid, result); });
    });
    return std::nullopt;
}

void Pods::unmade(const std::string& uid, const Status& result) {
    PodRun* run = find(uid);
    if (run == nullptr) return;
    run->busy = false;
    if (result) {
        run->stage = Stage::over;
        if (run->stopping) steps_.lost(*run);
    } else {
        run->stage = Stage::unmaking;
        run->retry_wait = run->retry_wait.count() == 0 ? retry_first : std::min(run->retry_wait * 2, retry_max);
        run->retry_at = world_.brain.clock().now() + run->retry_wait;
        log::warning("pod sandbox remains", {{"pod", run->record.key.text()}, {"error", result.error().message}});
    }
    look(uid);
}

// When nothing of a stopping pod is left: the last deletion, which takes its object away.
bool Pods::forget(PodRun& run, Status& outcome) {
    if (run.stage != Stage::over || !run.stopping) return false;
    if (!run.object_gone) {
        const Status removed =
            world_.client.remove(kube::pods, run.record.key, {.uid = run.record.uid, .grace_period_s = 0});
        if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict) {
            outcome = removed;
            return false;
        }
    }
    (void)world_.sandboxes.remove_state(run.record.uid);
    return true;
}

Status Pods::write_status(PodRun& run) {
    if (run.object_gone) return {};
    if (run.stage == Stage::over && !run.stopping && terminal(run.object->string({"status", "phase"}))) return {};
    for (int tries = 0;; tries++) {
        const kube::Object next = with_status(*run.object, run, world_.host_ip, world_.brain.clock(), world_.host_ipv6);
        if (next == *run.object) return {};
        Result<kube::Object> stored = world_.client.update_status(kube::pods, next);
        // Someone else (the controller writes annotations) was faster: look once more and write on top.
        if (!stored && stored.error().code == Code::conflict && tries < conflict_tries_max)
            stored = world_.client.get(kube::pods, run.record.key);
        else if (stored)
            tries = conflict_tries_max;
        if (!stored) return fail(stored.error());
        if (stored->uid() != run.record.uid) return {};  // another pod of the name: the watch will tell
        run.object = std::make_shared<const kube::Object>(std::move(*stored));
        if (tries >= conflict_tries_max) return {};
    }
}

void Pods::publish() {
    PodViews views;
    for (const auto& [uid, run] : runs_) {
        if (run->object_gone) continue;
        PodView& view = views[run->record.key];
        view.uid = uid;
        for (const ContainerRun& container : run->containers) {
            const bool running = container.state == ContainerRun::State::running;
            const bool begun = running || ended(container) ||
                               (container.report.attempt == container.attempt && !container.report.container.empty());
            view.containers.push_back({container.name, container.attempt, begun, running,
                                       running ? container.report.pid : 0, container.report.pid_started});
        }
    }
    if (*views_.get() != views) views_.publish(std::make_shared<const PodViews>(std::move(views)));
}

}  // namespace weft::runtime
