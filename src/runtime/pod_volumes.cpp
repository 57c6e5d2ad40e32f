#include "base/fd.h"
#include "runtime/pods.h"
#include "runtime/plan.h"
#include "runtime/volume_files.h"

namespace weft::runtime {

static constexpr Duration mount_retry = std::chrono::seconds(10);
static constexpr Duration account_retry = std::chrono::milliseconds(500);  // a new namespace's account is being made

void Pods::ask_for_token(PodRun& run, const TokenWish& wish) {
    world_.token_askers.submit([this, &brain = world_.brain, request = world_.request_token, uid = run.record.uid,
                                pod = run.object, wish] {
        const Result<std::string> token = request(*pod, wish);
        brain.post([this, uid, wish, token] {
            PodRun* const mine = find(uid);
            if (mine == nullptr) return;
            token_came(mine->account, wish, token, world_.brain.clock().now());
            look(uid);
        });
    });
}

Result<std::string> Pods::token_of(PodRun& run, const TokenWish& wish) {
    const auto ask = [&](const TokenWish& missing) { ask_for_token(run, missing); };
    return current_token(run.account, wish, ask, world_.brain.clock().now());
}

// Decided once: what becomes of the ServiceAccount later does not change a pod that runs.
Result<bool> Pods::gets_account(PodRun& run) const {
    if (!run.gets_account)
        run.gets_account =
            TRY(automounts(*run.object, world_.service_accounts.get({run.record.key.ns, account_of(*run.object)})));
    return *run.gets_account;
}

// While the sandbox is made, so that the containers need not wait for it then.
void Pods::ask_ahead(PodRun& run) {
    if (!world_.request_token) return;
    if (const Result<bool> wanted = gets_account(run); wanted && *wanted) (void)token_of(run, {});
}

// What an earlier runtime had been given counts on; a fresh one is asked for all the same.
void Pods::adopt_token(PodRun& run) const {
    if (!world_.request_token) return;
    const std::string folder = world_.sandboxes.volume_folder(run.record.uid, account_volume, false);
    Result<std::string> token = read_file(folder + "/token");
    if (!token || token->empty()) return;
    run.account.tokens[TokenWish{}].text = std::move(*token);
    run.gets_account = true;
}

// The user's volumes, and the one with the account's token.
Result<std::vector<VolumePlan>> Pods::plan_all(PodRun& run) {
    References references = world_.references(run.record.key.ns, run.record.ips);
    if (!world_.request_token) return plan_volumes(*run.object, references);
    references.token = [&](const std::string& audience, int64_t lifetime_s) {
        return token_of(run, {audience, lifetime_s});
    };
    std::vector<VolumePlan> plans = TRY(plan_volumes(*run.object, references));
    if (TRY(gets_account(run))) plans.push_back(TRY(plan_account_volume(*run.object, references)));
    return plans;
}

// Before the first container starts, and each time that something changes: a pod's volumes as its spec, ConfigMaps and
// Secrets say now. One that was there stays as it is when what it shows is gone. False: the containers have to wait.
bool Pods::settle_volumes(PodRun& run, Due& due) {
    if (run.object->array({"spec", "volumes"}).empty() && !world_.request_token) return run.volumes_made = true;
    // Each in its time, also those that the plan does not come to because something else is missing.
    for (const auto& [wish, token] : run.account.tokens) (void)token_of(run, wish);
    Result<std::vector<VolumePlan>> plans = plan_all(run);
    if (const auto when = renewal(run.account, world_.brain.clock().now())) due = sooner(due, *when);
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
    if (first_is_awaited(run.account)) return run.volumes_made;  // its coming is another look
    const bool may_come_soon = put.error().code == Code::not_found && !run.volumes_made;
    due = sooner(due, world_.brain.clock().now() + (may_come_soon ? account_retry : mount_retry));
    if (run.volume_error != put.error().message) {
        run.volume_error = put.error().message;
        world_.events.warning(*run.object, "FailedMount", run.volume_error);
    }
    return run.volumes_made;
}

}  // namespace weft::runtime
