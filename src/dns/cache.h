// Cache: what the upstream answered lately, for one hand. Stands in front of the forwarder: a question that it knows
// never leaves.
//
//   key    VPC, name (case folded), type, class, and the flags that change an answer: RD, CD, DO. Of each VPC its own:
//          nobody learns from an answer's age what another one asks
//   life   the smallest TTL of the reply, of a negative one also the SOA's minimum; at most ttl_max_s, 0 = not kept
//   stale  for stale_max_s more, an answer for when nobody upstream gives one, with a TTL of stale_ttl_s (RFC 8767)
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
    static constexpr uint32_t stale_ttl_s = 5;
    static constexpr uint32_t stale_max_s = 3600;
    static constexpr size_t entries_max = 4096;
    static constexpr size_t reply_bytes_max = 4096;  // of names and data

    Cache() = default;
    ~Cache();
    Cache(const Cache&) = delete;

    // The question and what changes its answer, as a key for maps.
    static std::string key_of(const dns_wire::Question& question, const dns_wire::Message& flags);

    std::optional<dns_wire::Message> find(uint32_t vni, const dns_wire::Question& question,
                                          const dns_wire::Message& flags, MonotonicTime now);
    // What find() does not give any more.
    std::optional<dns_wire::Message> find_stale(uint32_t vni, const dns_wire::Question& question,
                                                const dns_wire::Message& flags, MonotonicTime now);
    // Brings every TTL of the reply down to ttl_max_s and keeps the reply if it may be kept.
    void store(uint32_t vni, const dns_wire::Question& question, const dns_wire::Message& flags,
               dns_wire::Message& reply, MonotonicTime now);
    size_t size() const { return entries_.size(); }

private:
    struct Entry {
        std::string key;
        dns_wire::Message reply;
        MonotonicTime stored, until;
        size_t hits = 0;
    };
    using Entries = std::list<Entry>;  // the one used last is in front

    dns_wire::Message use(Entries::iterator entry);
    void forget(Entries::iterator entry);

    Entries entries_;
    std::unordered_map<std::string, Entries::iterator> by_key_;
};

// How long a reply may be kept; 0 = not at all.
uint32_t lifetime_s(const dns_wire::Message& reply, const dns_wire::Question& question);

}  // namespace weft::dns
