// What the server says of its own zone, and how it speaks: UDP, TCP, garbage, limits.
#include "dns/server_fixture.h"

namespace weft::dns {
namespace {

TEST_F(ServerTest, each_vpc_sees_its_own_service_of_the_same_name_over_udp_and_tcp) {
    start_world();
    for (const std::string transport : {"", "+tcp ", "+noedns "}) {
        EXPECT_EQ(dig(demo, transport + "web.default.svc.cluster.local A"),
                  "NOERROR\nweb.default.svc.cluster.local. 5 IN A 10.96.0.20");
        EXPECT_EQ(dig(blue, transport + "web.default.svc.cluster.local A"),
                  "NOERROR\nweb.default.svc.cluster.local. 5 IN A 10.96.0.99");
        EXPECT_EQ(dig(blue, transport + "web.blue.svc.cluster.local A"), "NXDOMAIN");
        EXPECT_EQ(
            dig(demo, transport + "_http._tcp.web.default.svc.cluster.local SRV"),
            "NOERROR\n_http._tcp.web.default.svc.cluster.local. 5 IN SRV 0 100 80 web.default.svc.cluster.local.");
        EXPECT_EQ(dig(blue, transport + "-x 10.96.0.99"),
                  "NOERROR\n99.0.96.10.in-addr.arpa. 5 IN PTR web.default.svc.cluster.local.");
        EXPECT_EQ(dig(demo, transport + "version.bind CH TXT"), "REFUSED");
        EXPECT_EQ(dig(demo, transport + "www.example.test A"), "REFUSED");
    }
    EXPECT_EQ(decoded(ask_udp(demo, query_bytes("cluster.local.", Type::axfr)))->rcode, Rcode::refused);
    EXPECT_EQ(dig(demo, "+edns=1 +noednsneg web.default.svc.cluster.local A"), "BADVERS");
    EXPECT_EQ(dig(demo, "+opcode=status web.default.svc.cluster.local A"), "NOTIMP");
}

TEST_F(ServerTest, a_change_of_the_objects_is_a_change_of_the_answers) {
    start_world();
    EXPECT_EQ(dig(demo, "new.default.svc.cluster.local A"), "NXDOMAIN");
    client_.seed(R"({apiVersion: v1, kind: Service, metadata: {name: new, namespace: default},
                     spec: {clusterIP: 10.96.0.30, clusterIPs: [10.96.0.30]}})");
    EXPECT_TRUE(eventually([&] {
        const auto reply = decoded(ask_udp(demo, query_bytes("new.default.svc.cluster.local.", Type::a)));
        return reply && reply->answers.size() == 1;
    }));
    ASSERT_TRUE(client_.remove(kube::services, {"default", "new"}));
    EXPECT_TRUE(eventually([&] {
        const auto reply = decoded(ask_udp(demo, query_bytes("new.default.svc.cluster.local.", Type::a)));
        return reply && reply->rcode == Rcode::nx_domain;
    }));
}

TEST_F(ServerTest, vpcs_come_and_go_while_it_runs) {
    start_world();
    ASSERT_TRUE(client_.remove(kube::vpcs, {"", "vpc-blue"}));
    EXPECT_TRUE(eventually([&] { return !answers(blue); }));
    EXPECT_TRUE(answers(demo));
    EXPECT_EQ(channel_->held().size(), 2u);
    client_.seed(vpc("vpc-blue", true));
    EXPECT_TRUE(eventually([&] { return answers(blue); }));
    EXPECT_EQ(dig(blue, "web.default.svc.cluster.local A"),
              "NOERROR\nweb.default.svc.cluster.local. 5 IN A 10.96.0.99");
}

TEST_F(ServerTest, a_thousand_endpoints_need_tcp_and_fit_it) {
    client_.seed(many_endpoints(1000));
    start_world();
    const auto udp = decoded(ask_udp(demo, query_bytes("many.default.svc.cluster.local.", Type::a)));
    ASSERT_TRUE(udp);
    EXPECT_TRUE(udp->truncated);
    EXPECT_EQ(udp->answers.size(), 0u);
    const std::string whole = dig(demo, "many.default.svc.cluster.local A");  // dig goes on over TCP by itself
    EXPECT_EQ(std::count(whole.begin(), whole.end(), '\n'), 1000);
}

TEST_F(ServerTest, tcp_queries_may_be_pipelined_and_split_anywhere) {
    start_world();
    std::string stream;
    for (uint16_t id = 1; id <= 200; ++id) {
        const std::string query = query_bytes("web.default.svc.cluster.local.", Type::a, id);
        stream += {char(query.size() >> 8), char(query.size())};
        stream += query;
    }
    const Fd fd = connected(SOCK_STREAM, demo);
    for (size_t at = 0; at < stream.size(); at += 1001) {
        const std::string part = stream.substr(at, 1001);
        ASSERT_EQ(send(fd.get(), part.data(), part.size(), MSG_NOSIGNAL), ssize_t(part.size()));
    }
    std::string all;
    std::set<unsigned> ids;
    while (ids.size() < 200) {
        const std::string part = received(fd);
        ASSERT_FALSE(part.empty());
        all += part;
        for (size_t size = 0;
             all.size() >= 2 && (size = size_t(uint8_t(all[0])) << 8 | uint8_t(all[1])) <= all.size() - 2;) {
            const auto reply = decoded(std::string_view(all).substr(2, size));
            ASSERT_TRUE(reply);
            EXPECT_EQ(reply->answers.size(), 1u);
            ids.insert(reply->id);
            all.erase(0, 2 + size);
        }
    }
}

TEST_F(ServerTest, garbage_gets_its_error_or_nothing_and_harms_nobody) {
    using namespace std::string_literals;
    start_world();
    EXPECT_EQ(ask_udp(demo, "short", 100ms), "");
    EXPECT_EQ(ask_udp(demo, "\0\1\x80\0\0\1\0\0\0\0\0\0\0\0\1\0\1"s, 100ms), "");  // a response
    const auto form_err = decoded(ask_udp(demo, "\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"s));
    ASSERT_TRUE(form_err);
    EXPECT_EQ(form_err->rcode, Rcode::form_err);
    EXPECT_EQ(form_err->id, 1);
    for (const std::string& bad : {"\0\0"s, "\0\5short"s}) {
        const Fd fd = connected(SOCK_STREAM, demo);
        send(fd.get(), bad.data(), bad.size(), MSG_NOSIGNAL);
        pollfd waiting{fd.get(), POLLIN, 0};
        ASSERT_EQ(poll(&waiting, 1, 2000), 1);
        char byte = 0;
        EXPECT_LE(recv(fd.get(), &byte, 1, 0), 0);  // closed, nothing said
    }
    EXPECT_TRUE(answers(demo));
}

TEST_F(ServerTest, DNS_29_a_client_over_its_limit_is_sent_to_tcp) {
    config_.settings.answers_per_second = 4;
    start_world();
    const Fd fd = connected(SOCK_DGRAM, demo);
    const std::string query = query_bytes("web.default.svc.cluster.local.", Type::a);
    unsigned truncated = 0;
    EXPECT_TRUE(eventually([&] {
        for (int i = 0; i < 20; ++i) send(fd.get(), query.data(), query.size(), MSG_NOSIGNAL);
        for (;;) {
            const std::string bytes = received(fd, 20ms);
            if (bytes.empty()) return truncated > 0;
            const auto reply = decoded(bytes);
            if (!reply || !reply->truncated) continue;
            ++truncated;
            EXPECT_TRUE(reply->answers.empty());
            EXPECT_EQ(reply->questions.at(0).text(), "web.default.svc.cluster.local. A");
        }
    }));
    EXPECT_EQ(dig(demo, "+tcp web.default.svc.cluster.local A"),
              "NOERROR\nweb.default.svc.cluster.local. 5 IN A 10.96.0.20");
}

TEST_F(ServerTest, DNS_20_a_tcp_client_that_says_nothing_or_half_a_query_is_let_go) {
    config_.settings.tcp_idle_timeout = 200ms;
    start_world();
    for (const std::string& half : {std::string(), std::string("\0", 1), query_bytes("web.default.svc.cluster.local.", Type::a).insert(0, "\0\x7f", 2)}) {
        const Fd fd = connected(SOCK_STREAM, demo);
        send(fd.get(), half.data(), half.size(), MSG_NOSIGNAL);
        pollfd waiting{fd.get(), POLLIN, 0};
        ASSERT_EQ(poll(&waiting, 1, 10000), 1);
        char byte = 0;
        EXPECT_LE(recv(fd.get(), &byte, 1, 0), 0);
    }
}

// An API server that is away.
class SilentClient : public kube::FakeClient {
public:
    Result<kube::ObjectList> list(const kube::Resource&, const kube::ListOptions&) override {
        return fail(Code::unavailable, "no API server");
    }
};

TEST_F(ServerTest, without_a_sync_the_kept_sockets_say_servfail_instead_of_nothing) {
    SilentClient away;
    const worker::ListenKey kept{7, demo, port, net::Protocol::udp};
    ASSERT_TRUE(channel_->listen(kept, 2));  // as the keeper hands it to a worker that starts again
    config_.sync_patience = 50ms;
    start(away);
    EXPECT_TRUE(eventually([&] {
        const auto reply = decoded(ask_udp(demo, query_bytes("web.default.svc.cluster.local.", Type::a), 50ms));
        return reply && reply->rcode == Rcode::serv_fail;
    }));
    thread_ = {};  // before the client goes
}

}  // namespace
}  // namespace weft::dns
