#include "dns/rate_limit.h"

#include <algorithm>

namespace weft::dns {

static constexpr uint64_t second_us = 1'000'000;

// A client with this much again has not asked for a second: forgetting it changes nothing.
static uint64_t credit_at(uint64_t credit_us, MonotonicTime then, MonotonicTime now) {
    const auto passed = std::chrono::duration_cast<std::chrono::microseconds>(now - then).count();
    return std::min(second_us, credit_us + uint64_t(std::max<int64_t>(passed, 0)));
}

RateLimit::Bucket& RateLimit::bucket_of(const Key& key, MonotonicTime now) {
    if (const auto known = buckets_.find(key); known != buckets_.end()) return known->second;
    if (buckets_.size() >= clients_max && now - swept_ >= std::chrono::milliseconds(100)) {
        swept_ = now;
        std::erase_if(buckets_,
                      [&](const auto& it) { return credit_at(it.second.credit_us, it.second.at, now) == second_us; });
    }
    if (buckets_.size() >= clients_max) {
        if (shared_.at == MonotonicTime{}) shared_ = {second_us, now, 0};
        return shared_;
    }
    return buckets_.emplace(key, Bucket{second_us, now, 0}).first->second;
}

RateLimit::Verdict RateLimit::ask(uint32_t vni, const net::Address& client, MonotonicTime now) {
    if (answers_per_second_ == 0) return Verdict::answer;
    Key key{vni, client};
    if (!client.is_v4()) std::fill(key.client.bytes.begin() + 8, key.client.bytes.end(), uint8_t(0));
    Bucket& bucket = bucket_of(key, now);
    const uint64_t cost_us = second_us / answers_per_second_;
    const uint64_t credit_us = credit_at(bucket.credit_us, bucket.at, now);
    if (credit_us < cost_us) return bucket.refused++ % slip == slip - 1 ? Verdict::truncate : Verdict::drop;
    bucket = {credit_us - cost_us, now, 0};
    return Verdict::answer;
}

}  // namespace weft::dns
