// A channel without a keeper: the sockets are made here and now, in the caller's own network namespace.
#include <map>
#include <mutex>

#include "worker/sockets.h"
#include "worker/worker.h"

namespace weft::worker {

namespace {

class LocalChannel : public Channel {
public:
    Result<std::vector<Fd>> listen(const ListenKey& key, unsigned n) override {
        const std::lock_guard lock(mutex_);
        std::vector<Fd>& kept = listeners_[key];
        while (kept.size() < n) {
            Result<Fd> made = make_listener(key);
            if (!made) {
                if (kept.empty()) listeners_.erase(key);
                return fail(std::move(made).error());
            }
            kept.push_back(std::move(*made));
        }
        std::vector<Fd> duplicates;
        for (const Fd& fd : kept) duplicates.push_back(TRY(fd.duplicate()));
        return duplicates;
    }

    Status unlisten(const ListenKey& key) override {
        const std::lock_guard lock(mutex_);
        listeners_.erase(key);
        return {};
    }

    Result<Fd> upstream(uint32_t, net::Protocol protocol) override { return make_upstream(protocol); }

    Result<Fd> api() override { return fail(Code::unavailable, "no keeper: no API server to connect to"); }

    std::vector<ListenKey> held() const override {
        const std::lock_guard lock(mutex_);
        std::vector<ListenKey> keys;
        for (const auto& [key, kept] : listeners_) keys.push_back(key);
        return keys;
    }

private:
    mutable std::mutex mutex_;
    std::map<ListenKey, std::vector<Fd>> listeners_;
};

}  // namespace

std::unique_ptr<Channel> local_channel() { return std::make_unique<LocalChannel>(); }

}  // namespace weft::worker
