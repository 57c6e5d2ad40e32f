// FakeClient: an API server in a map, for tests of reconcilers: create/update/patch(merge, json)/delete with resourceVersion
// preconditions, status apart from spec, finalizers, generateName, uid, generation; watch replays from history, and ends with
// a bookmark when it was to stop before it began: a look at what is new. No schema.
// `fail_next(code)` makes the next write fail; `log()` lists the writes made, so that a test can count them.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kube/client.h"

namespace weft::kube {

class FakeClient : public Client {
public:
    explicit FakeClient(const Clock& clock = system_clock());
    ~FakeClient() override;

    Result<Object> get(const Resource&, const ObjectKey&) override;
    Result<ObjectList> list(const Resource&, const ListOptions& = {}) override;
    Result<Object> create(const Resource&, const Object&) override;
    Result<Object> update(const Resource&, const Object&) override;
    Result<Object> update_status(const Resource&, const Object&) override;
    Result<Object> patch(const Resource&, const ObjectKey&, PatchType, const json::Value&, std::string_view = {}) override;
    Status remove(const Resource&, const ObjectKey&, const DeleteOptions& = {}) override;
    Status watch(const Resource&, const ListOptions&, std::string_view, std::stop_token,
                 const std::function<bool(WatchEvent&&)>&) override;

    // YAML documents, created as they stand (status kept).
    void seed(std::string_view yaml);
    void fail_next(Code code);
    void compact();  // history is forgotten: every open or resumed watch ends in `gone`
    std::vector<std::string> log() const;  // "create pods default/web-0", "update_status vpcs vpc-demo", ...
    void clear_log();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace weft::kube
