// Objects: the kinds' objects in the log. One key per object: <group or core>/<plural>/<namespace>/<name>; the value is
// the object without metadata.resourceVersion, which is its revision. Every write passes admission inside its
// transaction.
//
// Errors: 404, 409 of the object; an Error of the store as failure.h says. Threads: any; admission runs on the store's
// writer thread only. Source: spec/kubernetes.md API-45, API-65, API-76.
#pragma once
#include <optional>

#include "apiserver/admit.h"
#include "apiserver/failure.h"
#include "kube/object.h"
#include "store/log.h"

namespace weft::apiserver {

std::string prefix_of(const kube::Resource& resource, std::string_view ns = {});  // ns "" = all
std::string key_of(const kube::Resource& resource, const kube::ObjectKey& key);

// The object that a stored value stands for, as `kind` (a version of its own CRD) shows it.
json::Value inflate(const Kind& kind, std::string_view value, store::Revision revision);

struct WriteOptions {
    bool dry_run = false;
    MonotonicTime until = store::never;  // later, a write that still waits is refused with 504
};

class Objects {
public:
    explicit Objects(store::Log& log) : log_(log) {}

    Outcome<json::Value> get(const Kind& kind, const kube::ObjectKey& key);

    // `object` is decoded, defaulted, prepared and valid; the reply is what is stored now, with its resourceVersion.
    Outcome<json::Value> create(const Kind& kind, json::Value object, WriteOptions options);
    // Conflict unless the stored object is still at `expected`.
    Outcome<json::Value> update(const Kind& kind, json::Value object, store::Revision expected, WriteOptions options);
    // The removed object, with the removal's resourceVersion.
    Outcome<json::Value> remove(const Kind& kind, const kube::ObjectKey& key, store::Revision expected,
                                WriteOptions options);
    // Whether removal would be admitted now; for the first step of a deletion that finalizers hold up.
    Done may_remove(const Kind& kind, const kube::ObjectKey& key, MonotonicTime until);

    store::Log& log() { return log_; }

private:
    class View;
    // Runs on the writer thread, with admission in step with the store.
    Done write(const std::function<Done(store::Transaction&, View&)>& work, WriteOptions options);

    store::Log& log_;
    Admission admission_;
    bool admission_loaded_ = false;
    uint64_t failed_batches_ = 0;  // both: the writer thread's
};

// 0 when the object has none.
store::Revision revision_of(const json::Value& object);

}  // namespace weft::apiserver
