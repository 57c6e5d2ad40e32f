// The proxy end to end, on loopback: real sockets, real curl, small backends.
#include "alb/proxy_fixture.h"
#include "alb/reconciler.h"
#include "kube/fake_client.h"

namespace weft::alb {
namespace {

TEST_F(ProxyTest, CurlReachesTheBackendByHostAndPath) {
    use({backend_at_});
    const auto said = curl("http://app.test:18080/cart?x=1").output;
    EXPECT_TRUE(said.starts_with("GET /cart?x=1\nHost: app.test:18080\n")) << said;
    EXPECT_NE(said.find("X-Forwarded-For: 127.0.0.1\n"), std::string::npos) << said;
    EXPECT_NE(said.find("X-Forwarded-Proto: http\n"), std::string::npos);
    EXPECT_NE(said.find("X-Forwarded-Host: app.test:18080\n"), std::string::npos);
    EXPECT_NE(said.find("X-Forwarded-Port: 18080\n"), std::string::npos);
    const std::string code = "-o /dev/null -w '%{http_code}' ";
    EXPECT_EQ(curl(code + "-H 'Host: other.test' http://app.test:18080/").output, "404");
    EXPECT_EQ(curl(code + "http://app.test:18080/none/x").output, "503");
    EXPECT_EQ(curl(code + "-I http://app.test:18080/big").output, "200");
    EXPECT_EQ(curl(code + "http://app.test:18080/empty").output, "204");
    EXPECT_EQ(curl(code + "--http1.0 http://app.test:18080/").output, "200");
}

TEST_F(ProxyTest, AbsoluteTargetsAreRoutedByTheirOwnHost) {
    use({backend_at_});
    const auto answer = [this](std::string target) {
        return http::round_trip(*connect(), {.method = "GET", .target = std::move(target), .headers = {{"Host", "x.test"}}});
    };
    EXPECT_TRUE(answer("http://app.test/a?b")->body.starts_with("GET /a?b\nHost: app.test\n"));
    EXPECT_TRUE(answer("http://app.test?b")->body.starts_with("GET /?b\n"));
    EXPECT_TRUE(answer("http://app.test")->body.starts_with("GET /\n"));
    EXPECT_EQ(answer("http://other.test/a")->head.status, 404);
}

TEST_F(ProxyTest, BodiesPassBothWaysUnchanged) {
    use({backend_at_});
    std::string body(200'000, 0);  // round_trip writes all of it before it reads
    for (size_t i = 0; i < body.size(); ++i) body[i] = char(i * 2654435761u >> 13);
    const auto response = ask("/echo", "POST", body);
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_TRUE(response->body == body);
    const auto chunked = curl(
        "-H 'Transfer-Encoding: chunked' -H 'Expect: 100-continue' --data-binary @/proc/self/exe "
        "http://app.test:18080/echo | cmp - \"$(command -v curl)\" && echo same");
    EXPECT_EQ(chunked.output, "same\n");
    EXPECT_EQ(ask("/big")->body.size(), 3'000'000u);
}

TEST_F(ProxyTest, ConnectionsAreKeptOnBothSides) {
    use({backend_at_});
    auto& opened = metrics::counter("weft_alb_upstreams_opened_total");
    const uint64_t before = opened.value();
    auto stream = connect();
    for (int i = 0; i < 50; ++i)
        ASSERT_EQ(MUST(http::round_trip(*stream, request("/" + std::to_string(i)))).head.status, 200);
    EXPECT_EQ(opened.value() - before, 1u);
}

TEST_F(ProxyTest, PipelinedRequestsAreAnsweredInOrder) {
    use({backend_at_});
    std::string bytes;
    for (int i = 0; i < 20; ++i) bytes += "GET /n" + std::to_string(i) + " HTTP/1.1\r\nHost: app.test\r\n\r\n";
    bytes += "POST /echo HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlast";
    const auto said = talk(bytes);
    size_t at = 0;
    for (int i = 0; i < 20; ++i) {
        at = said.find("GET /n" + std::to_string(i) + "\n", at);
        ASSERT_NE(at, std::string::npos) << i;
    }
    EXPECT_NE(said.find("last", at), std::string::npos);
}

TEST_F(ProxyTest, MalformedRequestsAreRefusedAndNeverForwarded) {
    Script script("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    use({script.at});
    const std::string start = "POST / HTTP/1.1\r\nHost: app.test\r\n";
    for (const std::string headers :
         {"Content-Length: 1\r\nContent-Length: 2\r\n", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
          "Transfer-Encoding : chunked\r\n", "Transfer-Encoding: xchunked\r\n", "A: b\r\n c\r\n"}) {
        EXPECT_TRUE(talk(start + headers + "\r\n").starts_with("HTTP/1.1 400 ")) << headers;
    }
    EXPECT_TRUE(talk("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    EXPECT_TRUE(talk("GET /" + std::string(20000, 'a')).starts_with("HTTP/1.1 414 "));
    EXPECT_TRUE(talk("GET / HTTP/1.1\r\nHost: app.test\r\nA: " + std::string(40000, 'a')).starts_with("HTTP/1.1 431 "));
    EXPECT_TRUE(talk("\x16\x03\x01").starts_with("HTTP/1.1 400 "));
    EXPECT_EQ(script.requests, 0);
    EXPECT_TRUE(talk(start + "Transfer-Encoding: chunked\r\n\r\nzz\r\n").starts_with("HTTP/1.1 400 "));
}

TEST_F(ProxyTest, WebSocketsPassThrough) {
    use({backend_at_});
    auto stream = connect();
    auto upgrade = http::upgrade_request("app.test", "/ws", {});
    auto response = MUST(http::round_trip(*stream, upgrade.head));
    ASSERT_TRUE(http::check_upgrade_response(response.head, upgrade.key)) << response.head.status;
    http::WebSocket socket(*stream, http::Side::client, response.early);
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(socket.send(http::Opcode::text, "hi " + std::to_string(i)));
        EXPECT_EQ(MUST(socket.receive()).payload, "echo hi " + std::to_string(i));
    }
    const std::string large(200'000, 'w');
    ASSERT_TRUE(socket.send(http::Opcode::binary, large));
    EXPECT_EQ(MUST(socket.receive()).payload, "echo " + large);
    socket.close(1000);
    EXPECT_EQ(MUST(socket.receive()).opcode, http::Opcode::close);
}

TEST_F(ProxyTest, AnEndpointThatRefusesIsPassedOver) {
    const auto dead = [] {
        const Fd fd = MUST(io::listen_tcp({net::Address::v4(127, 0, 0, 1), 0}));
        return MUST(io::local_address(fd.get()));
    }();
    use({dead, backend_at_});
    for (int i = 0; i < 10; ++i) EXPECT_EQ(ask("/", i % 2 ? "POST" : "GET")->head.status, 200);
    use({dead});
    const auto none = ask("/");
    EXPECT_EQ(none->head.status, 502);
    EXPECT_EQ(none->body, "502 the backend gave no valid answer\n");  // no address of the inside
}

TEST_F(ProxyTest, AStaleConnectionIsReplacedAndOnlyIdempotentRequestsAreSentAgain) {
    // Answers once as if it would stay, then closes: the next request on it meets the end.
    Script stale("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    use({stale.at});
    auto stream = connect();
    for (int i = 0; i < 20; ++i) ASSERT_EQ(MUST(http::round_trip(*stream, request("/"))).body, "ok");
    Script mute("");
    use({mute.at});
    EXPECT_EQ(ask("/", "POST")->head.status, 502);
    EXPECT_EQ(mute.requests, 1);
    EXPECT_EQ(ask("/")->head.status, 502);
    EXPECT_EQ(mute.requests, 1 + int(connect_attempts_max));
}

TEST_F(ProxyTest, BrokenAnswersAreSeenAsBroken) {
    Script short_body("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    use({short_body.at});
    EXPECT_NE(curl("http://app.test:18080/").exit_code, 0);
    Script no_end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    use({no_end.at});
    EXPECT_NE(curl("http://app.test:18080/").exit_code, 0);
    Script garbage("SSH-2.0-OpenSSH\r\n");
    use({garbage.at});
    EXPECT_EQ(ask("/")->head.status, 502);
    Script until_close("HTTP/1.0 200 OK\r\n\r\nto the end");
    use({until_close.at});
    EXPECT_EQ(ask("/")->body, "to the end");
    Script interim("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    use({interim.at});
    EXPECT_EQ(ask("/")->body, "x");
    Script trailers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n");
    use({trailers.at});
    EXPECT_TRUE(talk("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
                    .ends_with("1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n"));
}

TEST_F(ProxyTest, AnEarlyAnswerEndsTheUpload) {
    use({backend_at_});
    const auto response = ask("/refuse", "POST", std::string(1'000'000, 'u'));
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->head.status, 413);
}

TEST_F(ProxyTest, ASlowReaderStopsTheBackendInsteadOfFillingOurMemory) {
    std::atomic<uint64_t> written{0};
    std::atomic<bool> blocked{false};
    auto source = http::Server::create({.name = "source", .write_timeout = std::chrono::milliseconds(300)},
                                       [&](http::Request&, http::Exchange& exchange) {
                                           (void)exchange.start({.status = 200});
                                           const std::string piece(64 * 1024, 's');
                                           while (exchange.write(piece)) written += piece.size();
                                           blocked = true;
                                       });
    const auto at = MUST(source->listen_tcp({net::Address::v4(127, 0, 0, 1), 0}));
    source->start();
    use({at});
    auto stream = connect();
    (void)stream->write("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    while (!blocked) std::this_thread::yield();
    // Socket buffers on loopback take some megabytes; our own part is two marks.
    EXPECT_LT(written, 64u << 20);
    stream.reset();
    source->stop();
}

TEST_F(ProxyTest, RouteChangesUnderLoadLoseNoRequest) {
    auto second = http::Server::create({.name = "second"}, serve);
    const auto second_at = MUST(second->listen_tcp({net::Address::v4(127, 0, 0, 1), 0}));
    second->start();
    use({backend_at_});
    std::atomic<bool> over{false};
    std::atomic<int> answered{0}, failed{0};
    std::vector<std::jthread> clients;
    for (int i = 0; i < 4; ++i) {
        clients.emplace_back([&, i] {
            auto stream = connect();
            while (!over) {
                if (i % 2) stream = connect();
                const auto response = http::round_trip(*stream, request("/load"));
                response && response->head.status == 200 ? ++answered : ++failed;
            }
        });
    }
    for (int change = 0; change < 200; ++change) {
        use(change % 3 == 0   ? std::vector{backend_at_}
            : change % 3 == 1 ? std::vector{second_at}
                              : std::vector{backend_at_, second_at});
        const int target = answered + 5;
        while (answered < target && failed == 0) std::this_thread::yield();
    }
    over = true;
    clients.clear();
    EXPECT_EQ(failed, 0);
    EXPECT_GE(answered, 1000);
    second->stop();
}

TEST_F(ProxyTest, AVanishedListenerIsClosedAndStopLetsRequestsFinish) {
    use({backend_at_});
    auto stream = connect();
    (void)stream->write("POST /echo HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\n\r\nab");
    std::array<char, 1000> bytes;
    const size_t first = MUST(stream->read(bytes));
    std::string said(bytes.data(), first);
    std::jthread stopper([this] { proxy_->stop(); });
    (void)stream->write("cd");
    for (;;) {
        const auto n = stream->read(bytes);
        if (!n || *n == 0) break;
        said.append(bytes.data(), *n);
    }
    EXPECT_TRUE(said.starts_with("HTTP/1.1 200 ")) << said;
    EXPECT_TRUE(said.ends_with("0\r\n\r\n")) << said;
}

TEST_F(ProxyTest, ObjectsBecomeRoutes) {
    kube::FakeClient client;
    const std::string address = front_.address.text();
    client.seed(fmt::format(R"(
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: weft}}
spec: {{controller: weft.dev/ingress}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: default}}
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
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: shop, namespace: default}}
spec:
  ingressClassName: weft
  rules:
  - host: app.test
    http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}
      - {{path: /gone, pathType: Prefix, backend: {{service: {{name: gone, port: {{number: 80}}}}}}}}
)",
                            address, backend_at_.port));
    const auto brain = kube::Brain::create(client);
    const Reconciler reconciler(*brain, *proxy_, MUST(Certificates::create()));
    brain->run_until_idle();
    front_.port = ingress::http_port;
    EXPECT_TRUE(proxy_->is_programmed());
    EXPECT_EQ(ask("/x")->head.status, 200);
    EXPECT_EQ(ask("/gone")->head.status, 503);
    EXPECT_TRUE(MUST(client.list(kube::events)).items.empty()) << "the controller tells, once for all nodes";

    ASSERT_TRUE(client.remove(kube::ingresses, {"default", "shop"}));
    brain->run_until_idle();
    while (io::connect_tcp(front_, seconds(1)))
        std::this_thread::yield();  // the hands close their sockets a moment later
}

}  // namespace
}  // namespace weft::alb
