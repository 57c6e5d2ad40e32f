// The whole server over sockets on loopback, asked by dig:
//
//   127.A.B.10        vpc-demo's DNS, namespace `default`      A.B is unique to this process
//   127.A.(B+128).10  vpc-blue's DNS, namespace `blue`, shown as `default`
//   127.A.B.53        the upstream, for www.example.test and friends
//
// For tests only. Threads: the server's own, the upstream's, and the test.
#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "base/strings.h"
#include "dns/server.h"
#include "kube/fake_client.h"

namespace weft::dns {

using namespace std::chrono_literals;
using dns_wire::Message;
using dns_wire::Name;
using dns_wire::Rcode;
using dns_wire::Type;

inline constexpr uint16_t port = 10053;

inline net::Address loopback(bool blue, uint8_t last) {
    const auto pid = unsigned(getpid());
    return net::Address::v4(127, uint8_t(1 + (pid >> 7) % 250), uint8_t((pid & 0x7f) | (blue ? 0x80 : 0)), last);
}

inline const net::Address demo = loopback(false, 10);
inline const net::Address blue = loopback(true, 10);

inline std::string vpc(const char* name, bool is_blue) {
    const std::string cidr = net::Prefix::of(loopback(is_blue, 0), 24).text();
    return std::string("{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: ") + name + "}, spec: {default: " +
           (is_blue ? "false, vni: 8" : "true, vni: 7") + ", serviceCIDR: " + cidr + "}}\n---\n";
}

inline std::string world() {
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

inline std::string many_endpoints(int n) {
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

inline sockaddr_in socket_address(const net::Address& address) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(address.v4_host_order());
    return to;
}

inline Fd connected(int type, const net::Address& server) {
    Fd fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
    const sockaddr_in to = socket_address(server);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    return fd;
}

// What comes within the patience; "" = nothing, or the end.
inline std::string received(const Fd& fd, Duration patience = 2s) {
    pollfd waiting{fd.get(), POLLIN, 0};
    if (poll(&waiting, 1, int(std::chrono::ceil<std::chrono::milliseconds>(patience).count())) <= 0) return "";
    std::string text(65536, '\0');
    const ssize_t got = recv(fd.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? size_t(got) : 0);
    return text;
}

inline std::string query_bytes(std::string_view name, Type type, uint16_t id = 7) {
    Message query;
    query.id = id;
    query.recursion_desired = true;
    query.questions = {{*Name::parse(name), type, dns_wire::Class::in}};
    query.edns = dns_wire::Edns{512};
    const std::vector<uint8_t> bytes = dns_wire::encode(query, 512);
    return {bytes.begin(), bytes.end()};
}

inline Result<Message> decoded(std::string_view bytes) {
    return dns_wire::decode_reply({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

inline std::string dig(const net::Address& server, const std::string& question) {
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
    // Its letters come in any case.
    static bool contains(std::string_view bytes, std::string_view word) {
        return std::search(bytes.begin(), bytes.end(), word.begin(), word.end(),
                           [](char a, char b) { return std::tolower(uint8_t(a)) == b; }) != bytes.end();
    }

    static std::string reply_to(std::string_view bytes, bool tcp) {
        const auto query = dns_wire::decode_query({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
        Message reply = dns_wire::response_to(query->message);
        reply.recursion_available = true;
        const Name name = reply.questions.front().name;
        if (name.is_within(*Name::parse("big.example.test.")) && !tcp) reply.truncated = true;
        const uint32_t ttl_s = name == *Name::parse("brief.example.test.") ? 1 : 30;
        if (!reply.truncated) reply.answers = {dns_wire::a_record(name, ttl_s, net::Address::v4(192, 0, 2, 1))};
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
            if (!asked.empty() && !contains(asked, "silent")) {
                std::string reply = reply_to(asked, false);
                const auto send_to = [&](const std::string& bytes) {
                    sendto(udp_.front().get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
                };
                if (contains(asked, "guess")) {
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
    ServerTest() {
        config_.hands = 2;
        config_.port = port;
    }

    void start(kube::Client& client) {
        config_.settings.forwarding = !config_.upstreams.empty();
        server_ = *Server::create(config_, *channel_, client);
        thread_ = std::jthread([this](const std::stop_token& stop) { server_->run(stop); });
    }

    void start_world(bool forwarding = false) {
        client_.seed(world());
        if (forwarding) config_.upstreams = {{loopback(false, 53), port}};
        start(client_);
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

    Server::Config config_;
    kube::FakeClient client_;
    std::unique_ptr<worker::Channel> channel_ = worker::local_channel();
    std::unique_ptr<Server> server_;
    std::jthread thread_;
};

}  // namespace weft::dns
