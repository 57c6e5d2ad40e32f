#include "dns_wire/message.h"

#include <fmt/format.h>

#include <algorithm>

namespace weft::dns_wire {

namespace {

constexpr std::pair<Type, std::string_view> type_names[] = {
    {Type::a, "A"},       {Type::ns, "NS"},     {Type::cname, "CNAME"}, {Type::soa, "SOA"},     {Type::ptr, "PTR"},
    {Type::hinfo, "HINFO"}, {Type::mx, "MX"},   {Type::txt, "TXT"},     {Type::rp, "RP"},       {Type::afsdb, "AFSDB"},
    {Type::aaaa, "AAAA"}, {Type::srv, "SRV"},   {Type::naptr, "NAPTR"}, {Type::dname, "DNAME"}, {Type::opt, "OPT"},
    {Type::ixfr, "IXFR"}, {Type::axfr, "AXFR"}, {Type::any, "ANY"},
};

void put16(std::string& to, uint16_t value) {
    to += char(value >> 8);
    to += char(value & 0xff);
}

void put32(std::string& to, uint32_t value) {
    put16(to, uint16_t(value >> 16));
    put16(to, uint16_t(value));
}

uint32_t get(std::string_view data, size_t at, size_t bytes) {
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value = value << 8 | uint8_t(data[at + i]);
    return value;
}

void put_string(std::string& to, std::string_view text) {
    text = text.substr(0, 255);
    to += char(text.size());
    to += text;
}

std::string name_text_at(std::string_view data, size_t& at) {
    const std::span bytes(reinterpret_cast<const uint8_t*>(data.data()), data.size());
    const Result<Name> name = Name::read(bytes, at);
    return name ? name->text() : "?";
}

std::string data_text(Type type, std::string_view data) {
    size_t at = 0;
    if (type == Type::a && data.size() == 4) return net::Address::v4(get(data, 0, 4)).text();
    if (type == Type::aaaa && data.size() == 16) {
        net::Address address;
        std::copy(data.begin(), data.end(), address.bytes.begin());
        return address.text();
    }
    if (type == Type::cname || type == Type::ns || type == Type::ptr) return name_text_at(data, at);
    if (type == Type::srv && data.size() > 6) {
        at = 6;
        return fmt::format("{} {} {} {}", get(data, 0, 2), get(data, 2, 2), get(data, 4, 2), name_text_at(data, at));
    }
    if (type == Type::soa) {
        const std::string primary = name_text_at(data, at);
        const std::string mailbox = name_text_at(data, at);
        if (at + 20 > data.size()) return "?";
        return fmt::format("{} {} {} {} {} {} {}", primary, mailbox, get(data, at, 4), get(data, at + 4, 4),
                           get(data, at + 8, 4), get(data, at + 12, 4), get(data, at + 16, 4));
    }
    if (type == Type::txt || type == Type::hinfo) {
        std::string text;
        while (at < data.size()) {
            const size_t length = uint8_t(data[at]);
            text += fmt::format("{}\"{}\"", text.empty() ? "" : " ", data.substr(at + 1, length));
            at += length + 1;
        }
        return text;
    }
    return fmt::format("\\# {}", data.size());
}

}  // namespace

std::string type_text(Type type) {
    for (const auto& [value, name] : type_names) {
        if (value == type) return std::string(name);
    }
    return fmt::format("TYPE{}", unsigned(type));
}

std::string_view rcode_text(Rcode rcode) {
    switch (rcode) {
        case Rcode::no_error: return "NOERROR";
        case Rcode::form_err: return "FORMERR";
        case Rcode::serv_fail: return "SERVFAIL";
        case Rcode::nx_domain: return "NXDOMAIN";
        case Rcode::not_imp: return "NOTIMP";
        case Rcode::refused: return "REFUSED";
        case Rcode::bad_vers: return "BADVERS";
    }
    return "OTHER";
}

std::string Question::text() const { return name.text() + " " + type_text(type); }

std::string Record::text() const {
    return fmt::format("{} {} IN {} {}", name.text(), ttl_s, type_text(type), data_text(type, data));
}

Record a_record(const Name& name, uint32_t ttl_s, const net::Address& address) {
    const auto* bytes = reinterpret_cast<const char*>(address.bytes.data());
    if (address.is_v4()) return {name, Type::a, Class::in, ttl_s, std::string(bytes + 12, 4)};
    return {name, Type::aaaa, Class::in, ttl_s, std::string(bytes, 16)};
}

Record name_record(const Name& name, uint32_t ttl_s, Type type, const Name& target) {
    return {name, type, Class::in, ttl_s, target.wire()};
}

Record srv_record(const Name& name, uint32_t ttl_s, uint16_t priority, uint16_t weight, uint16_t port,
                  const Name& target) {
    std::string data;
    put16(data, priority);
    put16(data, weight);
    put16(data, port);
    return {name, Type::srv, Class::in, ttl_s, data + target.wire()};
}

Record txt_record(const Name& name, uint32_t ttl_s, std::string_view text) {
    std::string data;
    put_string(data, text);
    return {name, Type::txt, Class::in, ttl_s, data};
}

Record hinfo_record(const Name& name, uint32_t ttl_s, std::string_view cpu, std::string_view os) {
    std::string data;
    put_string(data, cpu);
    put_string(data, os);
    return {name, Type::hinfo, Class::in, ttl_s, data};
}

Record soa_record(const Name& name, uint32_t ttl_s, const Soa& soa) {
    std::string data = soa.primary.wire() + soa.mailbox.wire();
    for (const uint32_t value : {soa.serial, soa.refresh_s, soa.retry_s, soa.expire_s, soa.minimum_s})
        put32(data, value);
    return {name, Type::soa, Class::in, ttl_s, data};
}

Message response_to(const Message& query) {
    Message response;
    response.id = query.id;
    response.response = true;
    response.opcode = query.opcode;
    response.recursion_desired = query.recursion_desired;
    response.checking_disabled = query.checking_disabled;
    response.questions = query.questions;
    if (query.edns) response.edns = Edns{udp_bytes_edns, 0, query.edns->dnssec_ok};
    return response;
}

size_t udp_bytes_for(const Message& query) {
    if (!query.edns) return udp_bytes_plain;
    return std::clamp<size_t>(query.edns->udp_bytes, udp_bytes_plain, udp_bytes_edns);
}

}  // namespace weft::dns_wire
