// What the server does not know itself: asked upstream, kept, and told again when nobody answers.
#include "dns/server_fixture.h"

namespace weft::dns {
namespace {

TEST_F(ServerTest, what_is_not_ours_goes_upstream) {
    const Upstream upstream;
    start_world(true);
    EXPECT_EQ(dig(demo, "www.example.test A"), "NOERROR\nwww.example.test. 30 IN A 192.0.2.1");
    EXPECT_EQ(dig(demo, "+tcp www.example.test A"), "NOERROR\nwww.example.test. 30 IN A 192.0.2.1");
    EXPECT_EQ(dig(demo, "big.example.test A"), "NOERROR\nbig.example.test. 30 IN A 192.0.2.1");      // TC → TCP
    EXPECT_EQ(dig(demo, "guess.example.test A"),
              "NOERROR\nguess.example.test. 30 IN A 192.0.2.1");  // wrong ids do not count
    EXPECT_EQ(
        dig(demo, "outside.default.svc.cluster.local A"),
        "NOERROR\noutside.default.svc.cluster.local. 5 IN CNAME www.example.test.\n"
        "www.example.test. 30 IN A 192.0.2.1");
    EXPECT_EQ(dig(demo, "nope.default.svc.cluster.local A"), "NXDOMAIN");
}

TEST_F(ServerTest, an_upstream_that_never_answers_is_servfail_after_two_tries) {
    const Upstream upstream;
    start_world(true);
    const auto begin = std::chrono::steady_clock::now();
    const auto reply = decoded(ask_udp(demo, query_bytes("silent.example.test.", Type::a), 8s));
    const auto took = std::chrono::steady_clock::now() - begin;
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->rcode, Rcode::serv_fail);
    EXPECT_EQ(reply->edns->extended_error, dns_wire::ExtendedError::no_reachable_authority);
    EXPECT_GE(took, 4s);
}

TEST_F(ServerTest, an_upstream_that_is_not_there_is_servfail_at_once) {
    start_world(true);
    const auto begin = std::chrono::steady_clock::now();
    const auto reply = decoded(ask_udp(demo, query_bytes("www.example.test.", Type::a), 8s));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->rcode, Rcode::serv_fail);
    EXPECT_EQ(reply->edns->extended_error, dns_wire::ExtendedError::network_error);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

TEST_F(ServerTest, DNS_26_an_upstream_that_is_ourselves_is_found_out) {
    config_.upstreams = {{demo, port}};
    client_.seed(world());
    start(client_);
    // Until the check has gone round a question does so too, once for each hand, and then times out.
    EXPECT_TRUE(eventually([&] {
        const auto reply = decoded(ask_udp(demo, query_bytes("www.example.test.", Type::a), 50ms));
        return reply && reply->rcode == Rcode::serv_fail &&
               reply->edns->extended_error == dns_wire::ExtendedError::network_error;
    }));
}

TEST_F(ServerTest, DNS_27_while_nobody_upstream_answers_what_was_known_is_told_once_more) {
    config_.hands = 1;  // one cache
    auto upstream = std::make_unique<Upstream>();
    start_world(true);
    EXPECT_EQ(dig(demo, "brief.example.test A"), "NOERROR\nbrief.example.test. 1 IN A 192.0.2.1");
    upstream.reset();
    Result<Message> reply = fail(Code::not_found, "");
    EXPECT_TRUE(eventually([&] {
        reply = decoded(ask_udp(demo, query_bytes("brief.example.test.", Type::a)));
        return reply && reply->edns->extended_error == dns_wire::ExtendedError::stale_answer;
    }));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->rcode, Rcode::no_error);
    EXPECT_EQ(reply->answers.at(0).text(), "brief.example.test. 5 IN A 192.0.2.1");
}

}  // namespace
}  // namespace weft::dns
