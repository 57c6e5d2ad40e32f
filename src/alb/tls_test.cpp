// HTTPS at the proxy, end to end on loopback: Ingresses with spec.tls and their Secrets in, judged by curl and openssl.
// Every test run has its own 127.x.y.z address.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

#include "alb/proxy.h"
#include "base/log.h"
#include "base/strings.h"
#include "http/client.h"
#include "http/server.h"

namespace weft::alb {
namespace {

std::string pem_lines(const io::KeyPair& pair) {
    return fmt::format("{{tls.crt: {}, tls.key: {}}}", base64_encode(pair.certificate_pem), base64_encode(pair.key_pem));
}

std::string secret(std::string_view name, const std::string& data) {
    return fmt::format("---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {}, namespace: default}}\n"
                       "type: kubernetes.io/tls\ndata: {}\n",
                       name, data);
}

std::string ingress(std::string_view name, std::string_view host, std::string_view tls, int created = 0) {
    return fmt::format(R"(---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {0}, namespace: default, uid: u-{0}, creationTimestamp: "2026-01-01T00:00:{3:02}Z"}}
spec:
  ingressClassName: weft
  tls: {2}
  rules:
  - {{host: {1}, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}}}
)",
                       name, host, tls, created);
}

using ingress::Objects;
using ingress::Problem;
using ingress::https_port;

Certificates made_certificates() { return MUST(Certificates::create()); }

class HttpsTest : public testing::Test {
protected:
    void SetUp() override {
        log::set_level(log::Level::error);
        const auto pid = uint32_t(::getpid());
        front_ = net::Address::v4(127, uint8_t(1 + (pid >> 16) % 250), uint8_t(pid >> 8), uint8_t(1 + pid % 250));
        channel_ = worker::local_channel();
        proxy_ = MUST(Proxy::create(*channel_, 2));
        backend_ = http::Server::create({.name = "backend"}, [](http::Request& request, http::Exchange& exchange) {
            std::string body = request.head.method + " " + request.head.target + "\n";
            for (const auto& [name, value] : request.headers()) body += fmt::format("{}: {}\n", name, value);
            if (request.path == "/echo") {
                std::array<char, 8192> bytes;
                auto n = exchange.read_some(bytes);
                (void)exchange.start({.status = 200});
                while (n && *n > 0 && exchange.write({bytes.data(), *n})) n = exchange.read_some(bytes);
                return;
            }
            (void)exchange.respond(200, "text/plain", request.path == "/big" ? std::string(3'000'000, 'b') : body);
        });
        backend_at_ = MUST(backend_->listen_tcp({net::Address::v4(127, 0, 0, 1), 0}));
        backend_->start();
    }

    void TearDown() override {
        proxy_.reset();
        backend_->stop();
    }

    AlbConfig use(const std::string& objects) {
        const std::string text = fmt::format(R"(
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: weft}}
spec: {{controller: weft.dev/ingress}}
---
apiVersion: weft.dev/v1
kind: VPC
metadata: {{name: vpc-demo}}
spec: {{default: true}}
status: {{vni: 7, ingressAddresses: {{weft.dev/ingress: {}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: default}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: default, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{port: {}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
{})",
                                             front_.text(), backend_at_.port, objects);
        Objects out;
        for (auto& body : MUST(json::parse_yaml(text))) {
            auto object = std::make_shared<const kube::Object>(std::move(body));
            const auto kind = object->kind();
            auto& list = kind == "Ingress"         ? out.ingresses
                         : kind == "IngressClass"  ? out.ingress_classes
                         : kind == "Service"       ? out.services
                         : kind == "EndpointSlice" ? out.endpoint_slices
                         : kind == "Secret"        ? out.secrets
                                                   : out.vpcs;
            list.push_back(std::move(object));
        }
        AlbConfig config = ingress::compile(out, certificates_);
        certificates_.forget_unused();
        EXPECT_TRUE(proxy_->apply(config));
        return config;
    }

    static std::string run(const std::string& command) {
        FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
        std::string out;
        std::array<char, 65536> bytes;
        while (const size_t n = std::fread(bytes.data(), 1, bytes.size(), pipe)) out.append(bytes.data(), n);
        ::pclose(pipe);
        return out;
    }

    std::string curl(const std::string& host, const std::string& path, const std::string& more = "") const {
        return run(fmt::format("curl -s -S -k --max-time 20 --noproxy '*' --resolve {0}:443:{1} {3} https://{0}{2}", host,
                               front_.text(), path, more));
    }

    // "CN = a.test": whose certificate a client gets that asks for `name` ("" = for none).
    std::string subject_for(const std::string& name) const {
        const std::string asked = name.empty() ? "-noservername" : "-servername " + name;
        const std::string text = run(fmt::format("openssl s_client -connect {}:443 {} </dev/null", front_.text(), asked));
        const size_t at = text.find("subject=");
        return at == std::string::npos ? text : text.substr(at + 8, text.find('\n', at) - at - 8);
    }

    net::Address front_;
    io::SocketAddress backend_at_;
    Certificates certificates_ = made_certificates();
    std::unique_ptr<worker::Channel> channel_;
    std::unique_ptr<Proxy> proxy_;
    std::unique_ptr<http::Server> backend_;
};

TEST_F(HttpsTest, ING_26_SniChoosesTheCertificateAndTheHostTheRule) {
    const auto config = use(secret("a", pem_lines(MUST(io::self_signed("a.test")))) +
                            secret("wild", pem_lines(MUST(io::self_signed("any.b.test")))) +
                            ingress("a", "a.test", "[{hosts: [A.test], secretName: a}]") +
                            ingress("b", "x.b.test", "[{hosts: ['*.b.test'], secretName: wild}]"));
    EXPECT_TRUE(config.problems.empty());
    EXPECT_EQ(subject_for("a.test"), "CN = a.test");
    EXPECT_EQ(subject_for("x.b.test"), "CN = any.b.test");
    EXPECT_EQ(subject_for("y.x.b.test"), "CN = weft default certificate") << "a wildcard stands for one label";
    EXPECT_EQ(subject_for("c.test"), "CN = weft default certificate");
    EXPECT_EQ(subject_for(""), "CN = weft default certificate");
    const std::string said = curl("a.test", "/cart?x=1");
    EXPECT_TRUE(said.starts_with("GET /cart?x=1\nHost: a.test\n")) << said;
    EXPECT_NE(said.find("X-Forwarded-Proto: https\n"), std::string::npos) << said;
    EXPECT_NE(said.find("X-Forwarded-Port: 443\n"), std::string::npos) << said;
    EXPECT_NE(said.find("X-Forwarded-For: 127.0.0.1\n"), std::string::npos) << said;
    EXPECT_EQ(curl("c.test", "/", "-o /dev/null -w '%{http_code}'"), "404");
    EXPECT_EQ(curl("a.test", "/", "-o /dev/null -w '%{http_code} %{http_version}'"), "200 1.1");
}

TEST_F(HttpsTest, ING_26_AMissingOrBrokenSecretConcernsItsOwnHostsOnly) {
    const auto good = MUST(io::self_signed("good.test"));
    const auto other = MUST(io::self_signed("other.test"));
    const auto config = use(secret("good", pem_lines(good)) + secret("torn", "{tls.crt: bm8gcGVt, tls.key: bm8gcGVt}") +
                            secret("mixed", pem_lines({good.certificate_pem, other.key_pem})) +
                            secret("half", fmt::format("{{tls.crt: {}}}", base64_encode(good.certificate_pem))) +
                            ingress("good", "good.test", "[{hosts: [good.test], secretName: good}]") +
                            ingress("none", "none.test", "[{hosts: [none.test], secretName: none}]") +
                            ingress("torn", "torn.test", "[{hosts: [torn.test], secretName: torn}]") +
                            ingress("mixed", "mixed.test", "[{hosts: [mixed.test], secretName: mixed}]") +
                            ingress("half", "half.test", "[{hosts: [half.test], secretName: half}]") +
                            ingress("late", "good.test", "[{hosts: [good.test], secretName: mixed}]", 9));
    std::map<std::string, std::string> reasons;
    for (const Problem& problem : config.problems)
        if (problem.reason != "PathConflict") reasons[std::string(problem.ingress->name())] = problem.reason;
    EXPECT_EQ(reasons, (std::map<std::string, std::string>{{"none", "CertificateNotFound"},
                                                           {"torn", "CertificateInvalid"},
                                                           {"mixed", "CertificateInvalid"},
                                                           {"half", "CertificateInvalid"},
                                                           {"late", "CertificateInvalid"}}));
    EXPECT_EQ(subject_for("good.test"), "CN = good.test");
    for (const char* host : {"none.test", "torn.test", "mixed.test", "half.test"}) {
        EXPECT_EQ(subject_for(host), "CN = weft default certificate") << host;
        EXPECT_EQ(curl(host, "/", "-o /dev/null -w '%{http_code}'"), "200") << host;
    }
}

TEST_F(HttpsTest, ASecretForNoHostIsTheDefaultAndTwoForOneHostAreAConflict) {
    const auto config = use(secret("a", pem_lines(MUST(io::self_signed("a.test")))) +
                            secret("d", pem_lines(MUST(io::self_signed("d.test")))) +
                            ingress("a", "a.test", "[{hosts: [a.test], secretName: a}]", 1) +
                            ingress("d", "d.test", "[{secretName: d}, {hosts: [a.test], secretName: d}]", 2));
    EXPECT_EQ(subject_for("a.test"), "CN = a.test");
    EXPECT_EQ(subject_for("elsewhere.test"), "CN = d.test");
    ASSERT_EQ(config.problems.size(), 1u);
    EXPECT_EQ(config.problems[0].reason, "CertificateConflict");
    EXPECT_EQ(config.problems[0].ingress->name(), "d");
}

TEST_F(HttpsTest, AChangedSecretServesTheNextConnectionAndLeavesTheOpenOneAlone) {
    const std::string rule = ingress("a", "a.test", "[{hosts: [a.test], secretName: a}]");
    use(secret("a", pem_lines(MUST(io::self_signed("old.test")))) + rule);
    const auto trusting = MUST(io::TlsContext::client("", false));
    const auto open = MUST(trusting->connect(MUST(io::connect_tcp({front_, https_port}, std::chrono::seconds(5))), "a.test",
                                             std::chrono::seconds(5)));
    const http::RequestHead request{.method = "GET", .target = "/x", .headers = {{"Host", "a.test"}}};
    EXPECT_EQ(MUST(http::round_trip(*open, request, "")).head.status, 200);
    use(secret("a", pem_lines(MUST(io::self_signed("new.test")))) + rule);
    EXPECT_EQ(subject_for("a.test"), "CN = new.test");
    EXPECT_EQ(MUST(http::round_trip(*open, request, "")).head.status, 200) << "the same connection goes on";
}

TEST_F(HttpsTest, LargeBodiesPassBothWays) {
    use(ingress("a", "a.test", "[{}]"));
    EXPECT_EQ(curl("a.test", "/big").size(), 3'000'000u);
    EXPECT_EQ(run(fmt::format("head -c 3000000 /dev/zero | curl -s -S -k --max-time 20 --noproxy '*' --resolve a.test:443:{} "
                              "-H Expect: --data-binary @- https://a.test/echo | wc -c",
                              front_.text())),
              "3000000\n");
}

TEST_F(HttpsTest, PlainHttpAndGarbageOnThePortHarmNobody) {
    use(ingress("a", "a.test", "[{}]"));
    for (const std::string_view bytes : {std::string_view("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
                                         std::string_view("\x16\x03\x01\xff\xff\x01\0\0", 8)}) {
        auto stream = io::plain_stream(MUST(io::connect_tcp({front_, https_port}, std::chrono::seconds(5))));
        stream->set_timeouts(std::chrono::seconds(10), std::chrono::seconds(10));
        ASSERT_TRUE(stream->write(bytes));
        stream->finish_writing();
        std::array<char, 4096> answer;
        while (true) {  // an alert at most, then the end
            const auto n = stream->read(answer);
            if (!n || *n == 0) break;
            EXPECT_EQ(std::string_view(answer.data(), *n).find("HTTP/"), std::string_view::npos);
        }
    }
    EXPECT_EQ(curl("a.test", "/", "-o /dev/null -w '%{http_code}'"), "200");
}

TEST_F(HttpsTest, WithoutSpecTlsNobodyListensThere) {
    const auto config = use(secret("a", pem_lines(MUST(io::self_signed("a.test")))) + ingress("a", "a.test", "[]"));
    EXPECT_EQ(config.listeners.size(), 1u);
    EXPECT_TRUE(config.secrets.empty());
    EXPECT_FALSE(io::connect_tcp({front_, https_port}, std::chrono::seconds(1)));
}

}  // namespace
}  // namespace weft::alb
