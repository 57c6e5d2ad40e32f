#include "runtime/container.h"

namespace weft::runtime {

void ContainerSteps::begin_asking(PodRun& run, ContainerRun& container) {
    const MonotonicTime now = world_.brain.clock().now();
    const json::Value* spec = container_spec(run, container);
    const auto probe_of = [&](std::string_view field) -> std::optional<ProbeRun> {
        const json::Value* probe = spec == nullptr || container.init ? nullptr : json::find(*spec, {field});
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
}

std::optional<MonotonicTime> ContainerSteps::step_probes(PodRun& run, ContainerRun& container) {
    const MonotonicTime now = world_.brain.clock().now();
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

ProbeTarget ContainerSteps::target_of(const PodRun& run, const ContainerRun& container) const {
    const std::string& uid = run.record.uid;
    return {run.record.ips.front(),     world_.sandboxes.netns_path(uid),
            world_.options.self_binary, world_.sandboxes.plan_file(uid, container.name),
            container.report.pid,       container.report.pid_started};
}

void ContainerSteps::ask_probe(PodRun& run, ContainerRun& container, ProbeRun& probe, std::string_view kind) {
    probe.asked();
    world_.askers.submit([this, question = probe.config().question, target = target_of(run, container),
                          uid = run.record.uid, name = container.name, attempt = container.attempt, kind] {
        const Status answer = ask(question, target, world_.stop);
        world_.brain.post([this, uid, name, attempt, kind, answer] { on_answer_(uid, name, attempt, kind, answer); });
    });
}

void ContainerSteps::answered(PodRun& run, const std::string& name, unsigned attempt, std::string_view kind,
                              const Status& answer) {
    for (ContainerRun& container : run.containers) {
        if (container.name != name || container.attempt != attempt || container.state != ContainerRun::State::running)
            continue;
        if (kind == "PostStart" || kind == "PreStop")
            hook_ended(run, container, kind, answer);
        else
            probe_answered(run, container, kind, answer);
    }
}

void ContainerSteps::probe_answered(PodRun& run, ContainerRun& container, std::string_view kind, const Status& answer) {
    std::optional<ProbeRun>& probe = kind == "Startup"    ? container.startup
                                     : kind == "Liveness" ? container.liveness
                                                          : container.readiness;
    if (!probe) return;
    const MonotonicTime now = world_.brain.clock().now();
    const ProbeRun::Verdict verdict = probe->answered(answer.has_value(), now);
    if (verdict == ProbeRun::Verdict::early || container.ending) return;
    if (!answer)
        world_.events.warning(*run.object, "Unhealthy",
                              fmt::format("{} probe failed: {}", kind, answer.error().message));
    if (verdict == ProbeRun::Verdict::undecided) return;
    const bool passed = verdict == ProbeRun::Verdict::passed;
    if (kind == "Readiness") {
        container.ready = passed;
    } else if (!passed) {
        stop(run, container, now + probe->config().grace.value_or(grace_of(run)),
             fmt::format("Container {} failed {} probe, will be restarted", container.name,
                         kind == "Startup" ? "startup" : "liveness"));
    } else if (kind == "Startup" && !container.startup_passed) {
        container.startup_passed = true;
        const json::Value* spec = container_spec(run, container);
        container.ready = !container.readiness && (spec == nullptr || !json::has(*spec, {"readinessProbe"}));
        if (container.liveness) container.liveness->start(now);
        if (container.readiness) container.readiness->start(now);
    }
}

}  // namespace weft::runtime
