// Kinds: the kinds served now: the built-in ones and those that CustomResourceDefinitions in the store add; a new table
// is published whenever one changes, so a kind is served before the reply to its POST goes out. Crd: what the server
// writes into a CustomResourceDefinition: accepted names, conditions, the clean-up finalizer. Threads: Kinds any; the
// rest pure. Source: spec/kubernetes.md §1.12, API-114.
#pragma once
#include <mutex>

#include "apiserver/failure.h"
#include "base/clock.h"
#include "base/published.h"
#include "store/log.h"

namespace weft::apiserver {

inline constexpr std::string_view crd_cleanup_finalizer = "customresourcecleanup.apiextensions.k8s.io";

bool is_crd(const Kind& kind);

class Kinds {
public:
    explicit Kinds(std::shared_ptr<const KindTable> table) : published_(std::move(table)) {}

    // The CRDs already stored.
    Status load(store::Log& log);

    std::shared_ptr<const KindTable> table() const { return published_.get(); }
    uint64_t version() const { return published_.version(); }
    void put(const json::Value& crd);  // established ones only
    void remove(std::string_view crd_name);

private:
    std::mutex mutex_;  // one change at a time
    Published<KindTable> published_;
};

// Fills status.acceptedNames, storedVersions and the conditions NamesAccepted and Established of a CRD that is about to
// be stored, and its finalizer; names that another kind of the group has are not accepted.
void establish(const KindTable& table, json::Value& crd, const Clock& clock);

bool is_established(const json::Value& crd);

class Objects;
// A CRD that is being deleted takes its objects with it: deletes them (those with finalizers are only marked), then
// finish_crd removes the clean-up finalizer once none is left. finish_crd may be called at any time, for any name.
Done remove_custom_objects(Objects& objects, Kinds& kinds, const Clock& clock, const json::Value& crd);
void finish_crd(Objects& objects, Kinds& kinds, std::string_view crd_name);

}  // namespace weft::apiserver
