// Cache: what the upstream answered lately, for one hand, shared by all its VPCs: it is asked the same for each of
// them. Stands in front of the forwarder: a question that it knows never leaves.
//
//   key    name (case folded), type, class, and the flags that change an answer: RD, CD, DO
//   life   the smallest TTL of the reply, of a negative one also the SOA's minimum; at most ttl_max_s, 0 = not kept
//   kept   NOERROR with answers; NXDOMAIN and NODATA with a SOA. Failures and replies over reply_bytes_max are not
//
// A hit shows the TTLs that are left and turns the addresses, so that every one of them is first now and then.
// Limits: entries_max; the one unused for longest goes. Threads: its hand's. Source: spec/acs.md (ex. 27.9); DNS-27.
#pragma once
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "dns_wire/message.h"

namespace weft::dns {

class Cache {
public:
    static constexpr uint32_t ttl_max_s = 30;
    static constexpr size_t entries_max = 4096;
    static constexpr size_t reply_bytes_max = 4096;  // of names and data

    Cache() = default;
    ~Cache();
    Cache(const Cache&) = delete;

    std::optional<dns_wire::Message> find(const dns_wire::Question& question, const dns_wire::Message& flags,
                                          MonotonicTime now);
    // Brings every TTL of the reply down to ttl_max_s and keeps the reply if it may be kept.
    void store(const dns_wire::Question& question, const dns_wire::Message& flags, dns_wire::Message& reply,
               MonotonicTime now);
    size_t size() const { return entries_.size(); }

private:
    struct Entry {
        std::string key;
        dns_wire::Message reply;
        MonotonicTime stored, until;
        size_t hits = 0;
    };
    using Entries = std::list<Entry>;  // the one used last is in front

    void forget(Entries::iterator entry);

    Entries entries_;
    std::unordered_map<std::string, Entries::iterator> by_key_;
};

// How long a reply may be kept; 0 = not at all.
uint32_t lifetime_s(const dns_wire::Message& reply, const dns_wire::Question& question);

}  // namespace weft::dns
