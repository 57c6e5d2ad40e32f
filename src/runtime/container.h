// Container: one container's life inside a PodRun that is up: start, probes, restart with back-off, end. Each step()
// looks and does what is due, and says when it wants to be asked again. Threads: the brain's.
#pragma once
#include "runtime/pod_run.h"
#include "runtime/world.h"

namespace weft::runtime {

class ContainerSteps {
public:
    // A probe's answer for a pod, on the brain's thread; the owner finds the PodRun and calls answered().
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
    // The shim is gone, and with it every process.
    void lost(PodRun& run);

private:
    bool may_start(const PodRun& run, const ContainerRun& container) const;
    void start(PodRun& run, ContainerRun& container);
    void wait_for_image(PodRun& run, ContainerRun& container, const Error& error);
    void begin_running(PodRun& run, ContainerRun& container);
    void plan_restart(PodRun& run, ContainerRun& container);
    void ask_probe(PodRun& run, ContainerRun& container, ProbeRun& probe, std::string_view kind);
    void kill(PodRun& run, ContainerRun& container, std::string_view why);

    World& world_;
    OnAnswer on_answer_;
};

}  // namespace weft::runtime
