#include "runtime/pods.h"
#include "runtime/plan.h"
#include "runtime/volume_files.h"

namespace weft::runtime {

static constexpr Duration mount_retry = std::chrono::seconds(10);

// Before the first container starts, and each time that something changes: a pod's volumes as its spec, ConfigMaps and
// Secrets say now. One that was there stays as it is when what it shows is gone. False: the containers have to wait.
bool Pods::settle_volumes(PodRun& run, Due& due) {
    if (run.object->array({"spec", "volumes"}).empty()) return run.volumes_made = true;
    const References references = world_.references(run.record.key.ns, run.record.ips);
    Result<std::vector<VolumePlan>> plans = plan_volumes(*run.object, references);
    Status put = plans ? Status{} : fail(plans.error());
    for (size_t i = 0; put && i < plans->size(); i++) {
        const VolumePlan& plan = (*plans)[i];
        if (run.volumes_made && i < run.volumes.size() && run.volumes[i] == plan) continue;
        const std::string folder =
            world_.sandboxes.volume_folder(run.record.uid, plan.name, plan.kind == VolumePlan::Kind::empty);
        put = put_volume(folder, plan, pod_fs_group(*run.object));
    }
    if (put) {
        run.volumes = std::move(*plans);
        run.volume_error.clear();
        return run.volumes_made = true;
    }
    due = sooner(due, world_.brain.clock().now() + mount_retry);
    if (run.volume_error != put.error().message) {
        run.volume_error = put.error().message;
        world_.events.warning(*run.object, "FailedMount", run.volume_error);
    }
    return run.volumes_made;
}

}  // namespace weft::runtime
