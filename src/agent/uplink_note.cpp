#include "agent/uplink_note.h"

#include "base/log.h"
#include "cloud/annotations.h"

namespace weft::agent {

UplinkNote::UplinkNote(kube::Client& client, std::string node, unsigned mtu)
    : client_(client),
      node_(std::move(node)),
      mtu_(std::to_string(mtu)),
      thread_([this](std::stop_token stop) { run(stop); }) {}

UplinkNote::~UplinkNote() {
    thread_.request_stop();
    thread_.join();
}

void UplinkNote::look(const kube::Object& node) {
    if (node.annotation(cloud::uplink_mtu_annotation) == mtu_) return;
    const std::lock_guard lock(mutex_);
    is_wanting_ = true;
    changed_.notify_one();
}

void UplinkNote::run(std::stop_token stop) {
    const json::Object patch{
        {"metadata", json::Object{{"annotations", json::Object{{cloud::uplink_mtu_annotation, mtu_}}}}}};
    std::string last_error;
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [&] { return is_wanting_; })) {
        is_wanting_ = false;
        lock.unlock();
        const auto written = client_.patch(kube::nodes, {"", node_}, kube::PatchType::merge, patch);
        // A Node that is gone comes back by the watch.
        const bool is_over = written || written.error().code == Code::not_found;
        const std::string error = is_over ? "" : written.error().message;
        if (!error.empty() && error != last_error)
            log::warning("the uplink's MTU is not written on the Node", {{"error", error}});
        last_error = error;
        lock.lock();
        if (is_over) continue;
        is_wanting_ = true;
        changed_.wait_for(lock, stop, retry_period, [] { return false; });
    }
}

void add_uplink_note(kube::Brain& brain, const View& view, UplinkNote& note) {
    brain.on_change(view.nodes, [&note](const kube::ObjectPtr&, const kube::ObjectPtr& after) {
        if (after) note.look(*after);
    });
}

}  // namespace weft::agent
