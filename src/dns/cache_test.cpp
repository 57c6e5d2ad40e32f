#include "dns/cache.h"

#include <gtest/gtest.h>

namespace weft::dns {
namespace {

using namespace std::chrono_literals;
using dns_wire::Message;
using dns_wire::Name;
using dns_wire::Question;
using dns_wire::Rcode;
using dns_wire::Record;
using dns_wire::Type;

Name name(std::string_view text) { return *Name::parse(text); }

Question question(std::string_view text, Type type = Type::a) { return {name(text), type, dns_wire::Class::in}; }

Record address(std::string_view owner, uint32_t ttl_s, uint8_t last = 1) {
    return dns_wire::a_record(name(owner), ttl_s, net::Address::v4(192, 0, 2, last));
}

Record soa(uint32_t ttl_s, uint32_t minimum_s) {
    return dns_wire::soa_record(name("test."), ttl_s, {name("ns.test."), name("who.test."), 1, 2, 3, 4, minimum_s});
}

Message positive(std::vector<Record> answers) {
    Message reply;
    reply.answers = std::move(answers);
    return reply;
}

Message negative(Rcode rcode, std::vector<Record> authorities) {
    Message reply;
    reply.rcode = rcode;
    reply.authorities = std::move(authorities);
    return reply;
}

class CacheTest : public testing::Test {
protected:
    void store(const Question& of, Message reply) { cache_.store(7, of, plain_, reply, clock_.now()); }
    std::optional<Message> find(const Question& of) { return cache_.find(7, of, plain_, clock_.now()); }
    std::optional<Message> find_stale(const Question& of) { return cache_.find_stale(7, of, plain_, clock_.now()); }

    FakeClock clock_;
    Cache cache_;
    Message plain_;
};

// DNS-27
TEST_F(CacheTest, a_reply_is_kept_for_its_smallest_ttl_and_shows_what_is_left) {
    store(question("a.test."), positive({address("a.test.", 20), address("a.test.", 9, 2)}));
    clock_.advance(5500ms);
    const auto known = find(question("A.TEST."));
    ASSERT_TRUE(known);
    EXPECT_EQ(known->answers[0].ttl_s + known->answers[1].ttl_s, 15u + 4u);
    clock_.advance(3600ms);
    EXPECT_FALSE(find(question("a.test.")));
}

TEST_F(CacheTest, no_ttl_is_over_the_limit_also_in_the_reply_that_is_stored) {
    Message reply = positive({address("a.test.", 86400)});
    cache_.store(7, question("a.test."), plain_, reply, clock_.now());
    EXPECT_EQ(reply.answers[0].ttl_s, Cache::ttl_max_s);
    clock_.advance(29s);
    EXPECT_TRUE(find(question("a.test.")));
    clock_.advance(1s);
    EXPECT_FALSE(find(question("a.test.")));
}

TEST_F(CacheTest, a_negative_answer_lives_by_its_soa) {
    EXPECT_EQ(lifetime_s(negative(Rcode::nx_domain, {soa(600, 7)}), question("a.test.")), 7u);
    EXPECT_EQ(lifetime_s(negative(Rcode::no_error, {soa(6, 700)}), question("a.test.")), 6u);
    EXPECT_EQ(lifetime_s(negative(Rcode::nx_domain, {soa(600, 700)}), question("a.test.")), Cache::ttl_max_s);
    EXPECT_EQ(lifetime_s(negative(Rcode::nx_domain, {}), question("a.test.")), 0u);
    // A CNAME that leads to nothing is negative too.
    Message alias = positive({dns_wire::name_record(name("a.test."), 30, Type::cname, name("b.test."))});
    EXPECT_EQ(lifetime_s(alias, question("a.test.")), 0u);
    alias.authorities = {soa(30, 5)};
    EXPECT_EQ(lifetime_s(alias, question("a.test.")), 5u);
    EXPECT_EQ(lifetime_s(alias, question("a.test.", Type::cname)), Cache::ttl_max_s);
}

TEST_F(CacheTest, failures_and_ttl_0_and_huge_replies_are_not_kept) {
    store(question("a.test."), negative(Rcode::serv_fail, {soa(30, 30)}));
    store(question("b.test."), negative(Rcode::refused, {soa(30, 30)}));
    store(question("c.test."), positive({address("c.test.", 0)}));
    store(question("d.test."), positive(std::vector<Record>(400, address("d.test.", 30))));
    EXPECT_EQ(cache_.size(), 0u);
}

TEST_F(CacheTest, DNS_27_type_flags_and_vpc_are_part_of_the_question) {
    store(question("a.test."), positive({address("a.test.", 30)}));
    EXPECT_FALSE(find(question("a.test.", Type::aaaa)));
    Message flags;
    flags.edns = dns_wire::Edns{1232, 0, true};
    EXPECT_FALSE(cache_.find(7, question("a.test."), flags, clock_.now()));
    flags = {};
    flags.checking_disabled = true;
    EXPECT_FALSE(cache_.find(7, question("a.test."), flags, clock_.now()));
    EXPECT_TRUE(find(question("a.test.")));
    EXPECT_FALSE(cache_.find(8, question("a.test."), plain_, clock_.now()));
    EXPECT_FALSE(cache_.find_stale(8, question("a.test."), plain_, clock_.now()));
}

TEST_F(CacheTest, DNS_27_what_is_too_old_is_still_there_for_an_hour_for_want_of_better) {
    EXPECT_FALSE(find_stale(question("a.test.")));
    store(question("a.test."), positive({address("a.test.", 20)}));
    store(question("b.test."), negative(Rcode::nx_domain, {soa(20, 20)}));
    clock_.advance(20s);
    EXPECT_FALSE(find(question("a.test.")));
    const auto stale = find_stale(question("A.test."));
    ASSERT_TRUE(stale);
    EXPECT_EQ(stale->answers.at(0).ttl_s, Cache::stale_ttl_s);
    EXPECT_EQ(find_stale(question("b.test."))->rcode, Rcode::nx_domain);
    clock_.advance(std::chrono::seconds(Cache::stale_max_s) - 1s);
    EXPECT_TRUE(find_stale(question("a.test.")));
    clock_.advance(1s);
    EXPECT_FALSE(find_stale(question("a.test.")));
    EXPECT_EQ(cache_.size(), 1u);
}

TEST_F(CacheTest, every_address_comes_first_now_and_then_behind_the_cname) {
    store(question("a.test."), positive({dns_wire::name_record(name("a.test."), 30, Type::cname, name("b.test.")),
                                         address("b.test.", 30, 1), address("b.test.", 30, 2)}));
    std::set<std::string> first;
    for (int i = 0; i < 4; ++i) {
        const auto known = find(question("a.test."));
        ASSERT_TRUE(known);
        EXPECT_EQ(known->answers[0].type, Type::cname);
        first.insert(known->answers[1].text());
    }
    EXPECT_EQ(first.size(), 2u);
}

TEST_F(CacheTest, is_bounded_and_forgets_what_was_unused_for_longest) {
    const auto numbered = [](size_t i) { return std::to_string(i) + ".test."; };
    for (size_t i = 0; i < Cache::entries_max; ++i) store(question(numbered(i)), positive({address(numbered(i), 30)}));
    EXPECT_TRUE(find(question(numbered(0))));
    store(question("new.test."), positive({address("new.test.", 30)}));
    EXPECT_EQ(cache_.size(), Cache::entries_max);
    EXPECT_TRUE(find(question(numbered(0))));
    EXPECT_FALSE(find(question(numbered(1))));
}

}  // namespace
}  // namespace weft::dns
