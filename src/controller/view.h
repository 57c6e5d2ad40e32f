// View: all objects of one kind as the controller knows them: the brain's cache, with our own writes laid over it until
// the cache has caught up. So a reconciler that has just created a pod, given away an address or taken a number sees it
// at once, and never does it twice because its cache is late. After a restart the first list holds all of it.
//
// Errors: the API's; a change or delete of what is gone is success. Threads: the brain's only.
#pragma once
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "controller/index.h"
#include "kube/brain.h"
#include "kube/client.h"
#include "kube/object.h"

namespace weft::controller {

class View {
public:
    using Visit = std::function<void(const kube::ObjectPtr&)>;

    View(kube::Brain& brain, const kube::Resource& resource, const kube::ListOptions& options = {});
    View(const View&) = delete;

    const kube::Resource& resource() const { return resource_; }

    kube::ObjectPtr get(const kube::ObjectKey& key) const;
    kube::ObjectPtr get(std::string_view name) const { return get(kube::ObjectKey{"", std::string(name)}); }
    void for_each(const Visit& visit) const;
    void for_each_in(std::string_view ns, const Visit& visit) const;
    // Before the brain runs; lives as long as the View.
    const Index& add_index(Index::Texts texts);
    // Copies, so that the caller may write while it walks them.
    std::vector<kube::ObjectPtr> under(const Index& index, std::string_view text) const;
    // Called after the cache has changed; either side may be null.
    void on_change(kube::Brain::OnChange handler);

    Result<kube::Object> create(const kube::Object& object);
    // These write nothing when nothing changed. `before` is what `after` was made from; its resourceVersion is the
    // precondition.
    Status put(const kube::Object& before, const kube::Object& after);
    Status put_status(const kube::Object& before, const kube::Object& after);
    Result<kube::Object> merge(const kube::ObjectKey& key, const json::Value& patch);
    Status remove(const kube::Object& object, const kube::DeleteOptions& options = {});

private:
    struct Own {
        kube::ObjectPtr object;
        uint64_t version = 0;
        bool removed = false;  // shown with a deletionTimestamp until the cache says so itself
        MonotonicTime since{};
    };

    Status remember_if_there(const Result<kube::Object>& written);
    void remember(const kube::Object& written);
    void forget(const kube::ObjectPtr& before, const kube::ObjectPtr& after);
    void refresh_indexes(const kube::ObjectKey& key);
    void audit();

    kube::Brain& brain_;
    const kube::Resource resource_;
    const bool metadata_only_;  // of what others wrote, and so of our own writes too
    const kube::Cache& cache_;
    std::map<kube::ObjectKey, Own> own_;
    std::list<Index> indexes_;
    std::vector<kube::Brain::OnChange> handlers_;
};

// What a reconciler answers for a Status: a conflict only means "look again soon", everything else is done or failed.
kube::Outcome settle(const Status& status);

}  // namespace weft::controller
