// RateLimit: how many answers a second a client gets over UDP, for one hand.
//
// A client is an address in its VPC (of IPv6 the /64 it is in). Each has a bucket of one second's answers; who is over
// it gets no answer, but every slip-th time an empty one that says "truncated", so that a client of good faith goes on
// over TCP, where a forged source address gets nowhere. Limits: clients_max; when there are more, those at rest are
// forgotten, and what then finds no place shares one bucket. Threads: its hand's. Source: spec/kubernetes.md DNS-29.
#pragma once
#include <cstdint>
#include <unordered_map>

#include "base/clock.h"
#include "net/address.h"

namespace weft::dns {

class RateLimit {
public:
    enum class Verdict : uint8_t { answer, truncate, drop };
    static constexpr size_t clients_max = 4096;
    static constexpr unsigned slip = 2;

    // 0 = no limit.
    explicit RateLimit(uint32_t answers_per_second) : answers_per_second_(answers_per_second) {}

    Verdict ask(uint32_t vni, const net::Address& client, MonotonicTime now);
    size_t clients() const { return buckets_.size(); }

private:
    struct Key {
        uint32_t vni;
        net::Address client;
        bool operator==(const Key&) const = default;
    };
    struct Hash {
        size_t operator()(const Key& key) const {
            return std::hash<net::Address>()(key.client) ^ size_t(key.vni) * 0x9e3779b97f4a7c15u;
        }
    };
    struct Bucket {
        uint64_t credit_us = 0;  // an answer costs 1/answers_per_second
        MonotonicTime at{};
        unsigned refused = 0;
    };
    Bucket& bucket_of(const Key& key, MonotonicTime now);

    const uint32_t answers_per_second_;
    std::unordered_map<Key, Bucket, Hash> buckets_;
    Bucket shared_;
    MonotonicTime swept_{};
};

}  // namespace weft::dns
