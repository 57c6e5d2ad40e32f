#include "dns/cache.h"

#include <algorithm>

#include "base/metrics.h"

namespace weft::dns {

using dns_wire::Message;
using dns_wire::Question;
using dns_wire::Rcode;
using dns_wire::Record;
using dns_wire::Type;

namespace {

metrics::Counter& asked(std::string_view outcome) {
    return metrics::counter("weft_dns_cache_total", {{"outcome", std::string(outcome)}},
                            "questions for upstream that were looked up in the cache");
}

metrics::Gauge& entries_gauge() {
    static metrics::Gauge& gauge = metrics::gauge("weft_dns_cache_entries", {}, "replies kept, of all hands");
    return gauge;
}

std::string key_in(uint32_t vni, const Question& question, const Message& flags) {
    std::string key = Cache::key_of(question, flags);
    for (int shift = 0; shift < 24; shift += 8) key += char(vni >> shift);
    return key;
}

template <class Visit>
void for_each_record(Message& message, Visit visit) {
    for (auto* const section : {&message.answers, &message.authorities, &message.additionals})
        for (Record& record : *section) visit(record);
}

size_t bytes_of(Message& message) {
    size_t bytes = 0;
    for_each_record(message, [&](const Record& record) { bytes += record.name.wire().size() + record.data.size(); });
    return bytes;
}

// The last four bytes of a SOA's data, whatever its names are.
uint32_t soa_minimum_s(const Record& soa) {
    if (soa.data.size() < 4) return 0;
    uint32_t minimum = 0;
    for (size_t i = soa.data.size() - 4; i < soa.data.size(); ++i) minimum = minimum << 8 | uint8_t(soa.data[i]);
    return minimum;
}

// Address records at the end of the answers, behind the CNAMEs that lead to them.
void turn_addresses(std::vector<Record>& answers, size_t by) {
    const auto is_address = [](const Record& record) { return record.type == Type::a || record.type == Type::aaaa; };
    const auto first = std::find_if(answers.begin(), answers.end(), is_address);
    if (!std::all_of(first, answers.end(), is_address) || answers.end() - first < 2) return;
    std::rotate(first, first + ptrdiff_t(by % size_t(answers.end() - first)), answers.end());
}

}  // namespace

uint32_t lifetime_s(const Message& reply, const Question& question) {
    if (reply.truncated || (reply.rcode != Rcode::no_error && reply.rcode != Rcode::nx_domain)) return 0;
    uint32_t lifetime = Cache::ttl_max_s;
    for (const auto* const section : {&reply.answers, &reply.authorities, &reply.additionals})
        for (const Record& record : *section) lifetime = std::min(lifetime, record.ttl_s);
    const bool is_positive = reply.rcode == Rcode::no_error &&
                             std::any_of(reply.answers.begin(), reply.answers.end(), [&](const Record& record) {
                                 return record.type == question.type || question.type == Type::any;
                             });
    if (is_positive) return lifetime;
    const auto soa = std::find_if(reply.authorities.begin(), reply.authorities.end(),
                                  [](const Record& record) { return record.type == Type::soa; });
    return soa == reply.authorities.end() ? 0 : std::min(lifetime, soa_minimum_s(*soa));
}

Cache::~Cache() { entries_gauge().add(-int64_t(entries_.size())); }

std::string Cache::key_of(const Question& question, const Message& flags) {
    std::string key = question.name.folded();
    for (const auto number : {uint16_t(question.type), uint16_t(question.cls)}) {
        key += char(number >> 8);
        key += char(number);
    }
    const bool dnssec_ok = flags.edns && flags.edns->dnssec_ok;
    key += char(int(flags.recursion_desired) | int(flags.checking_disabled) << 1 | int(dnssec_ok) << 2);
    return key;
}

std::optional<Message> Cache::find(uint32_t vni, const Question& question, const Message& flags, MonotonicTime now) {
    static metrics::Counter& hits = asked("hit");
    static metrics::Counter& misses = asked("miss");
    const auto found = by_key_.find(key_in(vni, question, flags));
    if (found == by_key_.end() || found->second->until <= now) {
        misses.add();
        return std::nullopt;
    }
    hits.add();
    Message reply = use(found->second);
    const auto age_s =
        uint32_t(std::chrono::duration_cast<std::chrono::seconds>(now - entries_.front().stored).count());
    for_each_record(reply, [age_s](Record& record) { record.ttl_s -= std::min(record.ttl_s, age_s); });
    return reply;
}

std::optional<Message> Cache::find_stale(uint32_t vni, const Question& question, const Message& flags,
                                         MonotonicTime now) {
    static metrics::Counter& stale = asked("stale");
    const auto found = by_key_.find(key_in(vni, question, flags));
    if (found == by_key_.end()) return std::nullopt;
    if (found->second->until + std::chrono::seconds(stale_max_s) <= now) {
        forget(found->second);
        return std::nullopt;
    }
    stale.add();
    Message reply = use(found->second);
    for_each_record(reply, [](Record& record) { record.ttl_s = stale_ttl_s; });
    return reply;
}

// A copy, after which the entry is the one used last.
Message Cache::use(Entries::iterator entry) {
    entries_.splice(entries_.begin(), entries_, entry);
    Message reply = entry->reply;
    turn_addresses(reply.answers, ++entry->hits);
    return reply;
}

void Cache::store(uint32_t vni, const Question& question, const Message& flags, Message& reply, MonotonicTime now) {
    for_each_record(reply, [](Record& record) { record.ttl_s = std::min(record.ttl_s, ttl_max_s); });
    const uint32_t lifetime = lifetime_s(reply, question);
    if (lifetime == 0 || bytes_of(reply) > reply_bytes_max) return;
    std::string key = key_in(vni, question, flags);
    if (const auto known = by_key_.find(key); known != by_key_.end()) forget(known->second);
    if (entries_.size() >= entries_max) forget(std::prev(entries_.end()));
    entries_.push_front({key, reply, now, now + std::chrono::seconds(lifetime)});
    by_key_[std::move(key)] = entries_.begin();
    entries_gauge().add(1);
}

void Cache::forget(Entries::iterator entry) {
    by_key_.erase(entry->key);
    entries_.erase(entry);
    entries_gauge().add(-1);
}

}  // namespace weft::dns
