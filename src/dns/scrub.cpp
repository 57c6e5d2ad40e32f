#include "dns/scrub.h"

#include <algorithm>

#include "dns_wire/rdata.h"

namespace weft::dns {

using dns_wire::Class;
using dns_wire::Message;
using dns_wire::Name;
using dns_wire::Record;
using dns_wire::Type;

namespace {

constexpr Type ds{43}, rrsig{46}, nsec{47}, nsec3{50};

bool is_one_of(const std::vector<Name>& names, const Name& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

// The name that a record's data ends in or consists of: the target of NS, CNAME, DNAME, PTR, MX, SRV.
std::optional<Name> target_of(const Record& record) {
    const dns_wire::RdataLayout layout = dns_wire::layout_of(record.type);
    if (layout.names != 1 || layout.strings_before) return std::nullopt;
    size_t at = layout.bytes_before;
    const std::span bytes(reinterpret_cast<const uint8_t*>(record.data.data()), record.data.size());
    auto name = Name::read(bytes, at);
    return name ? std::optional(std::move(*name)) : std::nullopt;
}

// The question's name and those that aliases of the reply lead to from it, in whatever order they stand.
std::vector<Name> chain_of(const Message& reply, const Name& asked, const Name& zone) {
    std::vector<Name> chain{asked};
    for (size_t i = 0; i < chain.size() && chain.size() < alias_chain_max; ++i) {
        for (const Record& record : reply.answers) {
            if (record.type != Type::cname || record.name != chain[i] || record.name.is_within(zone)) continue;
            const auto target = target_of(record);
            if (target && !is_one_of(chain, *target)) chain.push_back(*target);
        }
    }
    return chain;
}

bool is_above(const Name& owner, const std::vector<Name>& names) {
    return std::any_of(names.begin(), names.end(), [&](const Name& name) { return name.is_within(owner); });
}

}  // namespace

void scrub(Message& reply, const dns_wire::Question& question, const Name& zone) {
    const std::vector<Name> chain = chain_of(reply, question.name, zone);
    const auto is_foreign = [&](const Record& record) {
        return record.cls != Class::in || record.name.is_within(zone);
    };
    std::erase_if(reply.answers, [&](const Record& record) {
        const bool is_dname = record.type == Type::dname || record.type == rrsig;
        return is_foreign(record) || !(is_one_of(chain, record.name) || (is_dname && is_above(record.name, chain)));
    });

    std::vector<Name> zones;
    for (const Record& record : reply.authorities) {
        const bool names_a_zone = record.type == Type::soa || record.type == Type::ns;
        if (names_a_zone && !is_foreign(record) && is_above(record.name, chain)) zones.push_back(record.name);
    }
    std::erase_if(reply.authorities, [&](const Record& record) {
        if (is_foreign(record)) return true;
        if (record.type == Type::soa || record.type == Type::ns) return !is_one_of(zones, record.name);
        const bool is_proof =
            record.type == ds || record.type == rrsig || record.type == nsec || record.type == nsec3;
        return !is_proof || std::none_of(zones.begin(), zones.end(),
                                         [&](const Name& above) { return record.name.is_within(above); });
    });

    std::vector<Name> hosts;
    for (const auto* section : {&reply.answers, &reply.authorities})
        for (const Record& record : *section)
            if (auto target = target_of(record)) hosts.push_back(std::move(*target));
    std::erase_if(reply.additionals, [&](const Record& record) {
        const bool is_address = record.type == Type::a || record.type == Type::aaaa;
        return is_foreign(record) || !is_address || !is_one_of(hosts, record.name);
    });
}

}  // namespace weft::dns
