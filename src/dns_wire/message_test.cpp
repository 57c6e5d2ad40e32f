#include "dns_wire/message.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace weft::dns_wire {
namespace {

using namespace std::string_literals;

std::span<const uint8_t> bytes(const std::string& text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string text(const std::vector<uint8_t>& from) { return {from.begin(), from.end()}; }

const std::string web_a = "\3web\0\0\1\0\1"s;
const std::string opt = "\0\0\x29\x04\xd0\0\0\0\0\0\0"s;  // 1232 bytes, version 0, no options

std::string header(const std::string& flags, const std::string& counts) { return "\x12\x34"s + flags + counts; }

TEST(DecodeQueryTest, each_kind_of_bad_query_has_its_answer) {
    const std::string one = "\0\1\0\0\0\0\0\0"s;
    const std::string one_and_opt = "\0\1\0\0\0\0\0\1"s;
    struct Row {
        std::string_view what;
        std::string query;
        Rcode problem;
    };
    const Row rows[] = {
        {"plain", header("\1\0"s, one) + web_a, Rcode::no_error},
        {"with EDNS", header("\1\0"s, one_and_opt) + web_a + opt, Rcode::no_error},
        {"opcode STATUS", header("\x10\0"s, one) + web_a, Rcode::not_imp},
        {"opcode UPDATE", header("\x28\0"s, one) + "garbage"s, Rcode::not_imp},
        {"no question", header("\1\0"s, "\0\0\0\0\0\0\0\0"s), Rcode::form_err},
        {"two questions", header("\1\0"s, "\0\2\0\0\0\0\0\0"s) + web_a + web_a, Rcode::form_err},
        {"cut question", header("\1\0"s, one) + "\3web\0\0\1"s, Rcode::form_err},
        {"cut name", header("\1\0"s, one) + "\x20web"s, Rcode::form_err},
        {"pointer loop", header("\1\0"s, one) + "\xc0\x0c\0\1\0\1"s, Rcode::form_err},
        {"bytes behind", header("\1\0"s, one) + web_a + "x", Rcode::form_err},
        {"missing OPT", header("\1\0"s, one_and_opt) + web_a, Rcode::form_err},
        {"two OPT", header("\1\0"s, "\0\1\0\0\0\0\0\2"s) + web_a + opt + opt, Rcode::form_err},
        {"OPT as answer", header("\1\0"s, "\0\1\0\1\0\0\0\0"s) + web_a + opt, Rcode::form_err},
        {"OPT length too long", header("\1\0"s, one_and_opt) + web_a + "\0\0\x29\x04\xd0\0\0\0\0\0\5"s,
         Rcode::form_err},
        {"OPT option cut", header("\1\0"s, one_and_opt) + web_a + "\0\0\x29\x04\xd0\0\0\0\0\0\4\0\x0a\0\1"s,
         Rcode::form_err},
        {"OPT with owner", header("\1\0"s, one_and_opt) + web_a + "\1x\0\0\x29\x04\xd0\0\0\0\0\0\0"s, Rcode::form_err},
        {"unknown option", header("\1\0"s, one_and_opt) + web_a + "\0\0\x29\x04\xd0\0\0\0\0\0\5\xff\xf0\0\1z"s,
         Rcode::no_error},
        {"EDNS version 1", header("\1\0"s, one_and_opt) + web_a + "\0\0\x29\x04\xd0\0\1\0\0\0\0"s, Rcode::bad_vers},
    };
    for (const Row& row : rows) {
        const Result<Query> query = decode_query(bytes(row.query));
        ASSERT_TRUE(query) << row.what;
        EXPECT_EQ(query->problem, row.problem) << row.what;
        EXPECT_EQ(query->message.id, 0x1234) << row.what;
    }
}

TEST(DecodeQueryTest, what_deserves_no_answer_is_an_error) {
    EXPECT_FALSE(decode_query({}));
    EXPECT_FALSE(decode_query(bytes("\x12\x34\1\0\0\1\0\0\0\0\0"s)));                                // 11 bytes
    EXPECT_FALSE(decode_query(bytes(header("\x81\0"s, "\0\1\0\0\0\0\0\0"s) + web_a)));  // a response
}

TEST(EncodeTest, a_response_echoes_the_question_in_its_own_case) {
    const Query query = *decode_query(bytes(header("\1\x10"s, "\0\1\0\0\0\0\0\0"s) + "\3wEb\0\0\1\0\1"s));
    const std::string sent = text(encode(response_to(query.message), 512));
    EXPECT_EQ(sent, header("\x81\x10"s, "\0\1\0\0\0\0\0\0"s) + "\3wEb\0\0\1\0\1"s);
}

TEST(EncodeTest, names_are_compressed) {
    Message message;
    message.response = true;
    const Name name = *Name::parse("web.default.svc.cluster.local.");
    message.questions.push_back({name, Type::srv, Class::in});
    message.answers.push_back(srv_record(name, 5, 0, 100, 80, name));
    message.additionals.push_back(a_record(name, 5, net::Address::v4(10, 0, 0, 1)));
    const std::vector<uint8_t> sent = encode(message, 512);
    // header, question, SRV (its target stands uncompressed, RFC 2782), A
    EXPECT_EQ(sent.size(), 12 + 31 + 4 + (2 + 10 + 6 + 31) + (2 + 10 + 4));
    EXPECT_EQ(decode_reply(sent)->answers, message.answers);
}

TEST(EncodeTest, an_rrset_is_never_split_and_extras_go_first) {
    Message message;
    message.response = true;
    const Name name = *Name::parse("web.");
    message.questions.push_back({name, Type::a, Class::in});
    for (uint8_t i = 0; i < 20; ++i) message.answers.push_back(a_record(name, 5, net::Address::v4(10, 0, 0, i)));
    for (uint8_t i = 0; i < 20; ++i) {
        message.additionals.push_back(a_record(*Name::parse("other."), 5, net::Address::v4(10, 0, 1, i)));
    }
    message.edns = Edns{};

    const Message all = *decode_reply(encode(message, 1232));
    EXPECT_FALSE(all.truncated);
    EXPECT_EQ(all.answers.size(), 20u);
    EXPECT_EQ(all.additionals.size(), 20u);

    const Message without_extras = *decode_reply(encode(message, 512));
    EXPECT_FALSE(without_extras.truncated);
    EXPECT_EQ(without_extras.answers.size(), 20u);
    EXPECT_EQ(without_extras.additionals.size(), 0u);
    EXPECT_TRUE(without_extras.edns);

    const std::vector<uint8_t> small = encode(message, 300);
    const Message truncated = *decode_reply(small);
    EXPECT_LE(small.size(), 300u);
    EXPECT_TRUE(truncated.truncated);
    EXPECT_EQ(truncated.answers.size(), 0u);
    EXPECT_TRUE(truncated.edns);
}

TEST(EncodeTest, the_upper_bits_of_an_rcode_travel_in_the_opt) {
    Message message;
    message.response = true;
    message.rcode = Rcode::bad_vers;
    message.edns = Edns{};
    EXPECT_EQ(decode_reply(encode(message, 512))->rcode, Rcode::bad_vers);
}

TEST(MessageTest, any_message_survives_the_round_trip) {
    constexpr uint64_t seed = 53;
    Rng rng(seed);
    const auto random_name = [&rng] {
        Name name;
        for (uint64_t n = rng.below(4); n > 0; --n) {
            std::string label;
            for (uint64_t i = 1 + rng.below(8); i > 0; --i) label += char(rng.below(256));
            name = *name.child(label);
        }
        return name;
    };
    const auto random_record = [&]() -> Record {
        const Name name = random_name();
        const auto ttl = uint32_t(rng.next());
        switch (rng.below(6)) {
            case 0: return a_record(name, ttl, net::Address::v4(uint32_t(rng.next())));
            case 1: return name_record(name, ttl, Type::cname, random_name());
            case 2: return srv_record(name, ttl, 1, 2, 3, random_name());
            case 3: return txt_record(name, ttl, std::string(rng.below(300), 'x'));
            case 4: return soa_record(name, ttl, {random_name(), random_name(), 1, 2, 3, 4, uint32_t(rng.next())});
            default: return hinfo_record(name, ttl, "cpu", "os");
        }
    };
    for (int round = 0; round < 500; ++round) {
        Message message;
        message.id = uint16_t(rng.next());
        message.response = true;
        message.authoritative = rng.below(2) != 0;
        message.recursion_desired = rng.below(2) != 0;
        message.questions.push_back({random_name(), Type(rng.below(300)), Class::in});
        for (uint64_t n = rng.below(5); n > 0; --n) message.answers.push_back(random_record());
        for (uint64_t n = rng.below(3); n > 0; --n) message.authorities.push_back(random_record());
        for (uint64_t n = rng.below(3); n > 0; --n) message.additionals.push_back(random_record());
        if (rng.below(2) != 0) message.edns = Edns{1232, 0, true};
        const Result<Message> back = decode_reply(encode(message, message_bytes_max));
        ASSERT_TRUE(back) << "seed " << seed << " round " << round;
        EXPECT_EQ(back->questions, message.questions);
        EXPECT_EQ(back->answers, message.answers);
        EXPECT_EQ(back->authorities, message.authorities);
        EXPECT_EQ(back->additionals, message.additionals);
        EXPECT_EQ(back->edns.has_value(), message.edns.has_value());
        EXPECT_EQ(back->authoritative, message.authoritative);
    }
}

TEST(MessageTest, records_read_as_a_zone_file) {
    const Name name = *Name::parse("web.default.svc.cluster.local.");
    EXPECT_EQ(a_record(name, 5, net::Address::v4(10, 96, 0, 7)).text(),
              "web.default.svc.cluster.local. 5 IN A 10.96.0.7");
    EXPECT_EQ(srv_record(*Name::parse("a."), 5, 0, 100, 80, name).text(),
              "a. 5 IN SRV 0 100 80 web.default.svc.cluster.local.");
    EXPECT_EQ(txt_record(*Name::parse("a."), 7, "1.1.0").text(), "a. 7 IN TXT \"1.1.0\"");
}

TEST(MessageTest, the_size_of_a_udp_response_has_a_floor_and_a_ceiling) {
    Message query;
    EXPECT_EQ(udp_bytes_for(query), 512u);
    for (const auto& [said, used] : {std::pair{100, 512}, {512, 512}, {900, 900}, {1232, 1232}, {4096, 1232}}) {
        query.edns = Edns{uint16_t(said), 0, false};
        EXPECT_EQ(udp_bytes_for(query), size_t(used));
    }
}

}  // namespace
}  // namespace weft::dns_wire
