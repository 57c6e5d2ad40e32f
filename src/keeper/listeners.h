// Listeners: the table of kept sockets: (worker, key) → duplicates of what the worker reads from, and the network
// namespace they live in. A namespace that was made anew gets new sockets; nothing else is ever bound twice.
//
// Limits: listeners_max keys in all; protocol descriptors_max sockets per key. Threads: the keeper's only one.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "keeper/namespaces.h"
#include "protocol/keeper.h"

namespace weft::keeper {

using protocol::keeper::ListenerKey;

class Listeners {
public:
    static constexpr size_t listeners_max = 8192;

    explicit Listeners(const Namespaces& namespaces) : namespaces_(namespaces) {}

    struct Kept {
        uint64_t netns_cookie = 0;
        std::vector<Fd> sockets;
    };

    // At least n sockets, the same as last time if the namespace is. The pointer is valid until the next call.
    Result<const Kept*> listen(const std::string& worker, const ListenerKey& key, unsigned n);
    void unlisten(const std::string& worker, const ListenerKey& key);
    // Taken back from a living worker; what belongs to a namespace that is gone is closed.
    void adopt(const std::string& worker, const ListenerKey& key, std::vector<Fd> sockets);
    // Sockets keep a deleted namespace and its links alive, so they go soon after it.
    void drop_vanished();

    const std::map<ListenerKey, Kept>& of(const std::string& worker) { return kept_[worker]; }
    size_t size() const;

private:
    const Namespaces& namespaces_;
    std::map<std::string, std::map<ListenerKey, Kept>> kept_;
};

}  // namespace weft::keeper
