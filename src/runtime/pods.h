// Pods: every pod bound to this node, from the first look to the last: makes its sandbox, lets its containers step,
// writes its status, takes it down. Reconciled by pod key; a pod is told apart from an earlier one of the same name by
// its uid.
//
// adopt() first, once all caches are in sync: what an earlier runtime left is taken over or, without its object, taken
// down. Threads: the brain's; views() any.
#pragma once
#include <map>
#include <memory>

#include "base/published.h"
#include "runtime/container.h"
#include "runtime/world.h"

namespace weft::runtime {

// What logs and exec need to know, for other threads.
struct ContainerView {
    std::string name;
    unsigned attempt = 0;
    bool begun = false;    // this attempt has started (it may have ended)
    bool running = false;
    int pid = 0;
    uint64_t pid_started = 0;
    bool operator==(const ContainerView&) const = default;
};

struct PodView {
    std::string uid;
    std::vector<ContainerView> containers;
    bool operator==(const PodView&) const = default;
};

using PodViews = std::map<kube::ObjectKey, PodView>;

class Pods {
public:
    explicit Pods(World& world);

    void use_queue(kube::Brain::Queue& queue) { queue_ = &queue; }
    void adopt();
    kube::Outcome reconcile(const kube::ObjectKey& key);
    // A ConfigMap, Secret or ServiceAccount changed: containers that wait for one try again now.
    void look_again_in(std::string_view ns);

    const Published<PodViews>& views() const { return views_; }

private:
    using Due = std::optional<MonotonicTime>;

    PodRun& run_of(const kube::ObjectPtr& object);
    PodRun* find(const std::string& uid);
    void look(const std::string& uid);
    void note_deletion(PodRun& run);
    Due advance(PodRun& run);
    Due make(PodRun& run);
    void made(const std::string& uid, const Result<Record>& result);
    void link(PodRun& run);
    void link_again(PodRun& run);
    void replace_shim(PodRun& run);
    Due step_up(PodRun& run);
    bool settle_volumes(PodRun& run, Due& due);  // pod_volumes.cpp
    Result<std::vector<VolumePlan>> plan_all(PodRun& run);
    Result<bool> gets_account(PodRun& run) const;
    Result<std::string> token_of(PodRun& run, const TokenWish& wish);
    void ask_for_token(PodRun& run, const TokenWish& wish);
    void ask_ahead(PodRun& run);
    void adopt_token(PodRun& run) const;
    Due stop_containers(PodRun& run);
    Due unmake(PodRun& run);
    void unmade(const std::string& uid, const Status& result);
    bool forget(PodRun& run, Status& outcome);
    Status write_status(PodRun& run);
    void publish();

    World& world_;
    ContainerSteps steps_;
    kube::Brain::Queue* queue_ = nullptr;
    std::map<std::string, std::unique_ptr<PodRun>> runs_;  // by uid
    Published<PodViews> views_;
};

}  // namespace weft::runtime
