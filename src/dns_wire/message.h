// Message: a DNS message as values, and its two doors: decode (bytes → message) and encode (message → bytes).
//
//   decode_query   what a server accepts: one question, at most an OPT besides. What is wrong becomes `problem`,
//                  with which the server answers; what deserves no answer (short, QR set) is an Error
//   decode_reply   what a resolver accepts from upstream: all sections; names inside known RDATA are decompressed
//   encode         compresses, never splits an rrset; answers that do not fit set TC, extras are left out
//
// Shapes: RDATA is stored as the wire has it, uncompressed. Limits: message_bytes_max. Errors: Code::invalid.
// Threads: values. Source: RFC 1035 §4, RFC 6891 (EDNS), RFC 8914, RFC 2181 §9 (truncation); spec/kubernetes.md §8.2.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dns_wire/name.h"
#include "net/address.h"

namespace weft::dns_wire {

inline constexpr size_t header_bytes = 12;
inline constexpr size_t udp_bytes_plain = 512;      // without EDNS
inline constexpr uint16_t udp_bytes_edns = 1232;    // what we offer and the most we send over UDP
inline constexpr size_t message_bytes_max = 65535;  // what TCP's length prefix can say

// Wire values.
enum class Type : uint16_t {
    a = 1,
    ns = 2,
    cname = 5,
    soa = 6,
    ptr = 12,
    hinfo = 13,
    mx = 15,
    txt = 16,
    rp = 17,
    afsdb = 18,
    aaaa = 28,
    srv = 33,
    naptr = 35,
    dname = 39,
    opt = 41,
    ixfr = 251,
    axfr = 252,
    any = 255,
};
enum class Class : uint16_t { in = 1, ch = 3, any = 255 };
enum class Opcode : uint8_t { query = 0 };
enum class Rcode : uint16_t {
    no_error = 0, form_err = 1, serv_fail = 2, nx_domain = 3, not_imp = 4, refused = 5, bad_vers = 16,
};
std::string type_text(Type type);  // "A", "TYPE65"
std::string_view rcode_text(Rcode rcode);

struct Question {
    Name name;
    Type type = Type::a;
    Class cls = Class::in;

    std::string text() const;  // "web.default.svc.cluster.local. A"
    bool operator==(const Question&) const = default;
};

struct Record {
    Name name;
    Type type = Type::a;
    Class cls = Class::in;
    uint32_t ttl_s = 0;
    std::string data;

    std::string text() const;  // zone-file line
    bool operator==(const Record&) const = default;
};

Record a_record(const Name& name, uint32_t ttl_s, const net::Address& address);  // A or AAAA, as the address is
Record name_record(const Name& name, uint32_t ttl_s, Type type, const Name& target);  // CNAME, NS, PTR
Record srv_record(const Name& name, uint32_t ttl_s, uint16_t priority, uint16_t weight, uint16_t port,
                  const Name& target);
Record txt_record(const Name& name, uint32_t ttl_s, std::string_view text);  // one string, cut at 255
Record hinfo_record(const Name& name, uint32_t ttl_s, std::string_view cpu, std::string_view os);

struct Soa {
    Name primary, mailbox;
    uint32_t serial = 0, refresh_s = 0, retry_s = 0, expire_s = 0, minimum_s = 0;
};
Record soa_record(const Name& name, uint32_t ttl_s, const Soa& soa);

// Why an answer is no better, for people (RFC 8914).
enum class ExtendedError : uint16_t {
    stale_answer = 3, stale_nx_domain_answer = 19, no_reachable_authority = 22, network_error = 23,
};

struct Edns {
    uint16_t udp_bytes = udp_bytes_edns;
    uint8_t version = 0;
    bool dnssec_ok = false;
    std::optional<ExtendedError> extended_error = std::nullopt;
};

struct Message {
    uint16_t id = 0;
    bool response = false;
    uint8_t opcode = 0;
    bool authoritative = false, truncated = false, recursion_desired = false, recursion_available = false;
    bool authentic_data = false, checking_disabled = false;
    Rcode rcode = Rcode::no_error;  // with EDNS' upper bits
    std::vector<Question> questions;
    std::vector<Record> answers, authorities, additionals;
    std::optional<Edns> edns;
};

struct Query {
    Message message;
    Rcode problem = Rcode::no_error;  // anything else: answer with it and go no further
};
Result<Query> decode_query(std::span<const uint8_t> bytes);
Result<Message> decode_reply(std::span<const uint8_t> bytes);

// A response to `query` with its id, question, opcode, RD and CD; OPT if it had one.
Message response_to(const Message& query);
std::vector<uint8_t> encode(const Message& message, size_t bytes_max);
// How large a UDP response to this query may be.
size_t udp_bytes_for(const Message& query);

}  // namespace weft::dns_wire
