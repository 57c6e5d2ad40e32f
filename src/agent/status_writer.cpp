#include "agent/status_writer.h"

#include "base/log.h"

namespace weft::agent {

StatusWriter::StatusWriter(kube::Client& client, std::function<void(const kube::ObjectKey&)> on_failure)
    : client_(client), on_failure_(std::move(on_failure)), thread_([this](std::stop_token stop) { run(stop); }) {}

StatusWriter::~StatusWriter() {
    thread_.request_stop();
    thread_.join();
}

void StatusWriter::write(const kube::ObjectKey& block, std::string_view uid, json::Object status) {
    const std::lock_guard lock(mutex_);
    pending_.insert_or_assign(
        block, json::Object{{"metadata", json::Object{{"uid", uid}}}, {"status", std::move(status)}});
    arrived_.notify_one();
}

void StatusWriter::run(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (arrived_.wait(lock, stop, [&] { return !pending_.empty(); })) {
        const auto next = pending_.extract(pending_.begin());
        lock.unlock();
        const auto written =
            client_.patch(kube::address_blocks, next.key(), kube::PatchType::merge, next.mapped(), "status");
        // Gone, or another of the name: the watch will tell of it, and then there is something to say again.
        const bool is_over =
            !written && (written.error().code == Code::not_found || written.error().code == Code::conflict);
        if (!written && !is_over) {
            log::warning("AddressBlock status not written",
                         {{"block", next.key().name}, {"error", written.error().message}});
            on_failure_(next.key());
        }
        lock.lock();
        if (stop.stop_requested()) return;
    }
}

}  // namespace weft::agent
