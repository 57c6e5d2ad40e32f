// BlockStatus: tells the API how this node uses the AddressBlocks leased to it: who has which address, which ones rest,
// used and free. Written only when it differs. Threads: the brain's. Source: docs/design/objects.md.
#pragma once
#include "agent/allocation_log.h"
#include "agent/status_writer.h"
#include "agent/view.h"
#include "kube/brain.h"

namespace weft::agent {

class BlockStatus {
public:
    BlockStatus(const View& view, AllocationLog& log, StatusSink& writer, const Clock& clock)
        : view_(view), log_(log), writer_(writer), clock_(clock) {}

    kube::Outcome reconcile(const kube::ObjectKey& block);

private:
    const View& view_;
    AllocationLog& log_;
    StatusSink& writer_;
    const Clock& clock_;
};

}  // namespace weft::agent
