// UplinkNote: the node's word on what its uplink carries, written on its Node (annotation weft.dev/uplink-mtu), where
// the other nodes' agents and a person with kubectl read it.
//
// look() compares; whatever is absent or another's is written anew. A failed write is tried again every retry_period.
// What the uplink carries does not change in the life of an agent: it begins anew when it does (self.h). Threads:
// look() on the brain's; the writing on one of its own, so that the brain never waits for the API server.
#pragma once
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "agent/view.h"
#include "kube/brain.h"

namespace weft::agent {

class UplinkNote {
public:
    static constexpr Duration retry_period = std::chrono::seconds(1);

    UplinkNote(kube::Client& client, std::string node, unsigned mtu);
    ~UplinkNote();

    void look(const kube::Object& node);

private:
    void run(std::stop_token stop);

    kube::Client& client_;
    const std::string node_;
    const std::string mtu_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    bool is_wanting_ = false;
    std::jthread thread_;
};

// Joins it to the brain: its own Node makes it look.
void add_uplink_note(kube::Brain& brain, const View& view, UplinkNote& note);

}  // namespace weft::agent
