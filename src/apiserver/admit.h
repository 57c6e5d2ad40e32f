// Admission: what needs a look at other objects: namespaces that exist, a Service's ClusterIPs and nodePorts, the
// default IngressClass, the one default VPC. It runs inside the write's transaction, on the store's one writer thread.
//
// admit() fills fields in and refuses; it takes nothing. stored() is told of every write and delete that the
// transaction contains, at once, so the next write of the same batch sees it; a dry run simply never calls stored().
// After a transaction that did not commit, call load() again. Shapes: per VPC a set of taken addresses, lowest free
// found from a moving floor; a Service change costs O(log n). Errors: 422 texts of SVC-53, SVC-55; 500 `failed to
// allocate a serviceIP: range is full`; 404/403 of API-66, API-72. Threads: the writer thread only. Source:
// spec/kubernetes.md §2.3; design.md §4; docs/design/objects.md.
#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "apiserver/kind.h"
#include "kube/object.h"

namespace weft::apiserver {

inline constexpr uint16_t node_port_first = 30000;
inline constexpr uint16_t node_port_last = 32767;

// The store as the transaction sees it, its own writes included.
class StoreView {
public:
    virtual ~StoreView() = default;
    virtual std::optional<json::Value> get(const kube::Resource& resource, const kube::ObjectKey& key) = 0;
    // ns "" = all; the callback returns false to stop.
    virtual void each(const kube::Resource& resource, std::string_view ns,
                      const std::function<bool(const json::Value&)>& visit) = 0;
};

enum class Operation : uint8_t { create, update, remove };

class Admission {
public:
    Admission();
    ~Admission();

    // Builds the index anew from the store.
    void load(StoreView& view);

    // `object` is the prepared, valid wish (for remove: the stored object, not changed); `stored` is null on create.
    Verdict admit(StoreView& view, const Kind& kind, Operation operation, json::Value& object,
                  const json::Value* stored);

    // A write inside the transaction: before null = created, after null = removed.
    void stored(const Kind& kind, const json::Value* before, const json::Value* after);

private:
    struct Index;
    std::unique_ptr<Index> index_;
};

}  // namespace weft::apiserver
