#include "keeper/listeners.h"

#include <algorithm>

#include "base/log.h"
#include "worker/sockets.h"

namespace weft::keeper {

namespace {

constexpr uint32_t vni_max = 0xffffff;

Status check(const ListenerKey& key, unsigned n) {
    if (key.vni > vni_max) return fail(Code::invalid, "listen: vni has 24 bits");
    if (key.port == 0) return fail(Code::invalid, "listen: port must not be 0");
    if (n < 1 || n > protocol::keeper::descriptors_max) return fail(Code::invalid, "listen: count must be 1..64");
    return {};
}

}  // namespace

Result<const Listeners::Kept*> Listeners::listen(const std::string& worker, const ListenerKey& key, unsigned n) {
    TRY(check(key, n));
    std::map<ListenerKey, Kept>& mine = kept_[worker];
    const auto found = mine.find(key);
    const Result<uint64_t> cookie = namespaces_.cookie(key.vni);
    if (!cookie) {
        if (found != mine.end() && cookie.error().code == Code::not_found) mine.erase(found);
        return fail(cookie.error());
    }
    if (found != mine.end() && found->second.netns_cookie != *cookie) mine.erase(key);
    const size_t have = mine.contains(key) ? mine[key].sockets.size() : 0;
    if (have == 0 && size() >= listeners_max) return fail(Code::exhausted, "listen: listeners_max reached");
    if (have < n) {
        Made made = TRY(namespaces_.make_in(key.vni, n - unsigned(have), [&] { return worker::make_listener(key); }));
        if (made.netns_cookie != *cookie) return fail(Code::unavailable, "listen: the namespace changed meanwhile");
        Kept& kept = mine[key];
        kept.netns_cookie = made.netns_cookie;
        std::move(made.sockets.begin(), made.sockets.end(), std::back_inserter(kept.sockets));
        log::info("listening", {{"worker", worker}, {"vni", key.vni}, {"address", key.address.text()},
                                {"port", key.port}, {"protocol", net::protocol_name(key.protocol)}});
    }
    return &mine[key];
}

void Listeners::unlisten(const std::string& worker, const ListenerKey& key) { kept_[worker].erase(key); }

void Listeners::adopt(const std::string& worker, const ListenerKey& key, std::vector<Fd> sockets) {
    if (sockets.empty() || !check(key, unsigned(sockets.size()))) return;
    const Result<uint64_t> cookie = namespaces_.cookie(key.vni);
    const bool still_there = cookie && std::all_of(sockets.begin(), sockets.end(), [&](const Fd& socket) {
        return worker::netns_cookie(socket.get()) == *cookie;
    });
    if (still_there) kept_[worker][key] = Kept{*cookie, std::move(sockets)};
}

void Listeners::drop_vanished() {
    std::map<uint32_t, uint64_t> now;  // vni → cookie, 0 = gone
    for (auto& [worker, mine] : kept_) {
        std::erase_if(mine, [&](const auto& entry) {
            const uint32_t vni = entry.first.vni;
            if (!now.contains(vni)) {
                const Result<uint64_t> cookie = namespaces_.cookie(vni);
                // Any other error is no proof that the namespace is gone.
                const bool gone = !cookie && cookie.error().code == Code::not_found;
                now[vni] = cookie ? *cookie : gone ? 0 : entry.second.netns_cookie;
            }
            return now[vni] != entry.second.netns_cookie;
        });
    }
}

size_t Listeners::size() const {
    size_t total = 0;
    for (const auto& [worker, mine] : kept_) total += mine.size();
    return total;
}

}  // namespace weft::keeper
