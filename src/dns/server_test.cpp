// The whole server over sockets on loopback, asked by dig:
//
//   127.A.B.10        vpc-demo's DNS, namespace `default`      A.B is unique to this process
//   127.A.(B+128).10  vpc-blue's DNS, namespace `blue`, shown as `default`
//   127.A.B.53        the upstream, for www.example.test and friends
#include "dns/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdio>

#include "base/strings.h"
#include "kube/fake_client.h"

namespace weft::dns {
namespace {

using namespace std::chrono_literals;
using dns_wire::Message;
using dns_wire::Name;
using dns_wire::Rcode;
using dns_wire::Type;

constexpr uint16_t port = 10053;

net::Address loopback(bool blue, uint8_t last) {
    const auto pid = unsigned(getpid());
    return net::Address::v4(127, uint8_t(1 + (pid >> 7) % 250), uint8_t((pid & 0x7f) | (blue ? 0x80 : 0)), last);
}

const net::Address demo = loopback(false, 10);
const net::Address blue = loopback(true, 10);

std::string vpc(const char* name, bool is_blue) {
    const std::string cidr = net::Prefix::of(loopback(is_blue, 0), 24).text();
    return std::string("{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: ") + name + "}, spec: {default: " +
           (is_blue ? "false, vni: 8" : "true, vni: 7") + ", serviceCIDR: " + cidr + "}}\n---\n";
}

std::string world() {
    return vpc("vpc-demo", false) + vpc("vpc-blue", true) + R"(
{apiVersion: v1, kind: Namespace, metadata: {name: default}}
---
apiVersion: v1
kind: Namespace
metadata: {name: blue, annotations: {weft.dev/vpc: vpc-blue, weft.dev/dns-namespace: default}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.96.0.20, clusterIPs: [10.96.0.20], ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: blue}
spec: {clusterIP: 10.96.0.99, clusterIPs: [10.96.0.99], ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: many, namespace: default}
spec: {clusterIP: None, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: default}
spec: {type: ExternalName, externalName: www.example.test}
)";
}

std::string many_endpoints(int n) {
    std::string yaml = R"(
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: many-1, namespace: default, labels: {kubernetes.io/service-name: many}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
)";
    for (int i = 0; i < n; ++i)
        yaml += "- {addresses: [10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1) + "]}\n";
    return yaml;
}

sockaddr_in socket_address(const net::Address& address) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(address.v4_host_order());
    return to;
}

Fd connected(int type, const net::Address& server) {
    Fd fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
    const sockaddr_in to = socket_address(server);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    return fd;
}

// What comes within the patience; "" = nothing, or the end.
std::string received(const Fd& fd, Duration patience = 2s) {
    pollfd waiting{fd.get(), POLLIN, 0};
    if (poll(&waiting, 1, int(std::chrono::ceil<std::chrono::milliseconds>(patience).count())) <= 0) return "";
    std::string text(65536, '\0');
    const ssize_t got = recv(fd.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? size_t(got) : 0);
    return text;
}

std::string query_bytes(std::string_view name, Type type, uint16_t id = 7) {
    Message query;
    query.id = id;
    query.recursion_desired = true;
    query.questions = {{*Name::parse(name), type, dns_wire::Class::in}};
    const std::vector<uint8_t> bytes = dns_wire::encode(query, 512);
    return {bytes.begin(), bytes.end()};
}

Result<Message> decoded(std::string_view bytes) {
    return dns_wire::decode_reply({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

std::string dig(const net::Address& server, const std::string& question) {
    const std::string command = "dig @" + server.text() + " -p " + std::to_string(port) +
                                " +tries=1 +time=6 +noall +answer +comments " + question;
    FILE* const pipe = popen(command.c_str(), "r");
    std::string text;
    char buffer[4096];
    for (size_t n = 0; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
    pclose(pipe);
    // Status and records only, one blank between fields.
    std::string short_text;
    for (const std::string_view line : split(text, '\n')) {
        if (const size_t at = line.find("status: "); at != std::string_view::npos) {
            short_text += line.substr(at + 8, line.find(',', at) - at - 8);
        }
        if (line.empty() || line.front() == ';') continue;
        std::string record;
        for (const char c : line) {
            const char blank = c == '\t' ? ' ' : c;
            if (blank != ' ' || !record.ends_with(' ')) record += blank;
        }
        short_text += "\n" + record;
    }
    return short_text;
}

// Answers A questions with 192.0.2.1; `big` only over TCP, `silent` never, `guess` after two wrong replies.
class Upstream {
public:
    Upstream() : udp_(*worker::local_channel()->listen({0, loopback(false, 53), port, net::Protocol::udp}, 1)),
                 tcp_(*worker::local_channel()->listen({0, loopback(false, 53), port, net::Protocol::tcp}, 1)),
                 thread_([this](const std::stop_token& stop) { run(stop); }) {}

private:
    static std::string reply_to(std::string_view bytes, bool tcp) {
        const auto query = dns_wire::decode_query({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
        Message reply = dns_wire::response_to(query->message);
        reply.recursion_available = true;
        const Name name = reply.questions.front().name;
        if (name.labels().front() == "big" && !tcp) reply.truncated = true;
        if (!reply.truncated) reply.answers = {dns_wire::a_record(name, 30, net::Address::v4(192, 0, 2, 1))};
        const std::vector<uint8_t> out = dns_wire::encode(reply, 512);
        return {out.begin(), out.end()};
    }

    void run(const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            pollfd waiting[] = {{udp_.front().get(), POLLIN, 0}, {tcp_.front().get(), POLLIN, 0}};
            poll(waiting, 2, 20);
            char query[2048];
            sockaddr_in peer{};
            socklen_t size = sizeof peer;
            const ssize_t got = recvfrom(udp_.front().get(), query, sizeof query, MSG_DONTWAIT,
                                         reinterpret_cast<sockaddr*>(&peer), &size);
            const std::string_view asked(query, got > 0 ? size_t(got) : 0);
            if (!asked.empty() && asked.find("silent") == std::string_view::npos) {
                std::string reply = reply_to(asked, false);
                const auto send_to = [&](const std::string& bytes) {
                    sendto(udp_.front().get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
                };
                if (asked.find("guess") != std::string_view::npos) {
                    std::string wrong_id = reply;
                    wrong_id[1] = char(wrong_id[1] + 1);
                    wrong_id.back() = 66;
                    send_to(wrong_id);
                    send_to("garbage");
                }
                send_to(reply);
            }
            const Fd connection(accept4(tcp_.front().get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!connection) continue;
            const std::string framed = received(connection);
            if (framed.size() < 2) continue;
            std::string reply = reply_to(std::string_view(framed).substr(2), true);
            reply.insert(0, {char(reply.size() >> 8), char(reply.size())});
            send(connection.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
        }
    }

    std::vector<Fd> udp_, tcp_;
    std::jthread thread_;
};

class ServerTest : public testing::Test {
protected:
    void start(kube::Client& client, bool forwarding = false, Duration sync_patience = 5s) {
        Server::Config config;
        config.hands = 2;
        config.port = port;
        config.sync_patience = sync_patience;
        config.settings.forwarding = forwarding;
        if (forwarding) config.upstreams = {{loopback(false, 53), port}};
        server_ = *Server::create(std::move(config), *channel_, client);
        thread_ = std::jthread([this](const std::stop_token& stop) { server_->run(stop); });
    }

    void start_world(bool forwarding = false) {
        client_.seed(world());
        start(client_, forwarding);
        ASSERT_TRUE(eventually([&] { return answers(demo) && answers(blue); }));
    }

    bool eventually(const std::function<bool()>& fact, Duration patience = 10s) {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (!fact()) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            std::this_thread::sleep_for(5ms);
        }
        return true;
    }

    static std::string ask_udp(const net::Address& server, const std::string& bytes, Duration patience = 2s) {
        const Fd fd = connected(SOCK_DGRAM, server);
        send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        return received(fd, patience);
    }

    static bool answers(const net::Address& server) {
        return !ask_udp(server, query_bytes("cluster.local.", Type::soa), 50ms).empty();
    }

    kube::FakeClient client_;
    std::unique_ptr<worker::Channel> channel_ = worker::local_channel();
    std::unique_ptr<Server> server_;
    std::jthread thread_;
};

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
    EXPECT_GE(took, 4s);
}

TEST_F(ServerTest, an_upstream_that_is_not_there_is_servfail_at_once) {
    start_world(true);
    const auto begin = std::chrono::steady_clock::now();
    const auto reply = decoded(ask_udp(demo, query_bytes("www.example.test.", Type::a), 8s));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->rcode, Rcode::serv_fail);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
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
    start(away, false, 50ms);
    EXPECT_TRUE(eventually([&] {
        const auto reply = decoded(ask_udp(demo, query_bytes("web.default.svc.cluster.local.", Type::a), 50ms));
        return reply && reply->rcode == Rcode::serv_fail;
    }));
    thread_ = {};  // before the client goes
}

}  // namespace
}  // namespace weft::dns
