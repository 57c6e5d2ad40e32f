// Container: one container's life inside a PodRun that is up: start (container.cpp), probes (container_probe.cpp),
// hooks and the way to its end (container_end.cpp), restart with back-off. Each step() looks and does what is due, and
// says when it wants to be asked again. Threads: the brain's.
#pragma once
#include "runtime/pod_run.h"
#include "runtime/world.h"

namespace weft::runtime {

class ContainerSteps {
public:
    // A probe's or hook's answer for a pod, on the brain's thread; the owner finds the PodRun and calls answered().
    using OnAnswer = std::function<void(const std::string& uid, const std::string& container, unsigned attempt,
                                        std::string_view kind, const Status& answer)>;
    ContainerSteps(World& world, OnAnswer on_answer) : world_(world), on_answer_(std::move(on_answer)) {}

    // Fills run.containers from the object, with what its status says of earlier attempts. `adopted`: their shim will
    // tell the rest; else whatever ran is gone (the machine was restarted) and counts as killed.
    void prepare(PodRun& run, bool adopted) const;
    // The next time that something is due; nullopt = on an event.
    std::optional<MonotonicTime> step(PodRun& run, ContainerRun& container);
    void heard(PodRun& run, protocol::runtime::Report&& report);
    void answered(PodRun& run, const std::string& name, unsigned attempt, std::string_view kind, const Status& answer);
    // Begins the end of a running container: preStop, SIGTERM, SIGKILL at `kill_at`. Again: only sooner.
    void stop(PodRun& run, ContainerRun& container, MonotonicTime kill_at, const std::string& why);
    // The shim is gone, and with it every process.
    void lost(PodRun& run);

private:
    bool may_start(const PodRun& run, const ContainerRun& container) const;
    void start(PodRun& run, ContainerRun& container);
    void wait_for_image(PodRun& run, ContainerRun& container, const Error& error);
    Result<protocol::runtime::Launch> plan(const PodRun& run, const ContainerRun& container, const json::Value& spec,
                                           const Image& image) const;
    void begin_running(PodRun& run, ContainerRun& container, bool adopted);
    void begin_asking(PodRun& run, ContainerRun& container);
    void plan_restart(PodRun& run, ContainerRun& container);
    std::optional<MonotonicTime> step_probes(PodRun& run, ContainerRun& container);
    ProbeTarget target_of(const PodRun& run, const ContainerRun& container) const;
    void ask_probe(PodRun& run, ContainerRun& container, ProbeRun& probe, std::string_view kind);
    void probe_answered(PodRun& run, ContainerRun& container, std::string_view kind, const Status& answer);
    // False when there is no such hook.
    bool begin_hook(PodRun& run, ContainerRun& container, std::string_view kind, Duration patience);
    void hook_ended(PodRun& run, ContainerRun& container, std::string_view kind, const Status& answer);
    void tell_to_end(PodRun& run, ContainerRun& container);
    std::optional<MonotonicTime> step_ending(PodRun& run, ContainerRun& container);
    Duration grace_of(const PodRun& run) const;

    World& world_;
    OnAnswer on_answer_;
};

}  // namespace weft::runtime
