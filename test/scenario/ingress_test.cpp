// Ingress: examples/acs/22 with our own class, as far as Kubernetes' rules go (its order, wildcard paths and listeners are
// the ALB instance's): hosts, paths, defaults, what is missing, HTTPS with certificates that come, change and break.
//
//   internet 198.51.100.7 ── street ── node-1: weft alb on the VPC's Ingress address ── pods echo of ex-22
#include <map>
#include <set>

#include "base/fd.h"
#include "base/strings.h"
#include "support/world_main.h"

namespace weft::test {

static const std::string host = "paths.example.test";

static std::string address() { return world->field("ing main", "{.status.loadBalancer.ingress[0].ip}", "ex-22"); }

// The objects of the example but the AlbConfig and its class.
static std::string example() {
    const std::string text = MUST(read_file(root() + "/examples/acs/22-alb-ingress-paths.yaml"));
    std::string kept;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find("\n---\n", at), text.size());
        const std::string object = text.substr(at, end - at);
        if (object.find("kind: IngressClass") == std::string::npos && object.find("kind: AlbConfig") == std::string::npos)
            kept += object + "\n---\n";
        at = end + 5;
    }
    for (size_t at = 0; (at = kept.find("ingressClassName: alb-22")) != std::string::npos;)
        kept.replace(at, 24, "ingressClassName: weft");
    return kept;
}

static std::string curl(const std::string& target, const std::string& arguments = "") {
    return std::string(trim(world->from("internet", "curl -sS --max-time 5 --resolve " + host + ":80:" + address() +
                                                        " --resolve " + host + ":443:" + address() + " " + arguments +
                                                        " '" + target + "'")
                                .text));
}

static std::string code_of(const std::string& target, const std::string& arguments = "") {
    return curl(target, "--no-show-error -o /dev/null -w '%{http_code}' " + arguments);
}

// Which Service the access log says took the last request of a path.
static std::string service_of(const std::string& path) {
    const std::string code = code_of("http://" + host + path);
    std::string service = "none, " + code;
    eventually(5, [&]() -> std::string {
        const std::string log = MUST(read_file(world->instance().run_dir() + "/log/node-1.keeper.log"));
        const size_t line = log.rfind(" path=" + path + " ");
        const size_t backend = line == std::string::npos ? line : log.find(" backend=ex-22/", line);
        if (backend == std::string::npos) return "no line of " + path;
        service = log.substr(backend + 15, log.find(':', backend) - backend - 15);
        return "";
    });
    return service;
}

class Ingress : public testing::Test {
protected:
    static void SetUpTestSuite() {
        const Output applied = world->apply(example());
        ASSERT_TRUE(applied.ok()) << applied.text;
        ASSERT_TRUE(world->kubectl("-n ex-22 rollout status deployment echo --timeout=30s").ok());
        EXPECT_EQ(eventually(15, [] { return code_of("http://" + host + "/exact") == "200" ? "" : "not served yet"; }), "");
    }
};

// Facts 2, 3, 5 (where the path is longer anyway) and 8.
TEST_F(Ingress, ING_22_23_paths_choose_their_service) {
    EXPECT_EQ(service_of("/exact"), "exact-svc");
    EXPECT_EQ(service_of("/exact/"), "rest-svc");
    EXPECT_EQ(service_of("/exact/x"), "rest-svc");
    EXPECT_EQ(service_of("/api"), "api-svc");
    EXPECT_EQ(service_of("/api/"), "api-svc");
    EXPECT_EQ(service_of("/api/v1"), "api-svc");
    EXPECT_EQ(service_of("/apiary"), "rest-svc");
    EXPECT_EQ(service_of("/api/v1/open"), "open-svc") << "of another Ingress, and longer";
}

// Fact 4 as Kubernetes reads it: without an ALB a star is a letter like any other (ImplementationSpecific is Prefix).
TEST_F(Ingress, ING_22_a_star_in_a_path_is_only_a_star) {
    EXPECT_EQ(service_of("/img/*.png"), "img-svc");
    EXPECT_EQ(service_of("/img/a.png"), "rest-svc");
    EXPECT_EQ(service_of("/img/a.jpg"), "rest-svc");
}

// Fact 5: the order is the ALB's too; here the longer path wins also when its Ingress is the later one by that annotation.
TEST_F(Ingress, ING_23_the_order_annotation_changes_nothing_here) {
    ASSERT_TRUE(world->kubectl("-n ex-22 annotate ing early --overwrite alb.ingress.kubernetes.io/order=20").ok());
    EXPECT_EQ(service_of("/api/v1/open"), "open-svc");
    EXPECT_EQ(service_of("/api/v1/opener"), "api-svc");
    ASSERT_TRUE(world->kubectl("-n ex-22 annotate ing early --overwrite alb.ingress.kubernetes.io/order=1").ok());
}

// Fact 7's second half: a wish for listeners that this class does not have disturbs nothing and opens nothing.
TEST_F(Ingress, ING_24_listen_ports_of_an_alb_leave_the_rules_as_they_are) {
    ASSERT_TRUE(world->kubectl("-n ex-22 annotate ing main 'alb.ingress.kubernetes.io/listen-ports=[{\"HTTP\":8088}]'").ok());
    EXPECT_EQ(service_of("/exact"), "exact-svc");
    EXPECT_EQ(service_of("/api/v2"), "api-svc");
    EXPECT_EQ(code_of("http://" + address() + ":8088/exact", "-H 'Host: " + host + "'"), "000");
    ASSERT_TRUE(world->kubectl("-n ex-22 annotate ing main alb.ingress.kubernetes.io/listen-ports-").ok());
}

// Fact 8: requests go to the pods themselves, to each its share, though the Services are ClusterIP.
TEST_F(Ingress, ING_27_backends_are_the_pods_in_turn) {
    for (const char* name : {"exact-svc", "api-svc", "img-svc", "open-svc", "rest-svc"})
        EXPECT_EQ(world->field(std::string("svc ") + name, "{.spec.type}", "ex-22"), "ClusterIP");
    std::set<std::string> pods;
    const std::string ips = world->field("pods -l app=echo", "{.items[*].status.podIP}", "ex-22");
    for (const std::string_view ip : split(ips, ' ')) pods.emplace(ip);
    ASSERT_EQ(pods.size(), 2u) << ips;
    for (int i = 0; i < 8; ++i) ASSERT_EQ(code_of("http://" + host + "/api/turn"), "200");
    EXPECT_EQ(eventually(5, [&]() -> std::string {
                  std::map<std::string, int> times;
                  const std::string log = MUST(read_file(world->instance().run_dir() + "/log/node-1.keeper.log"));
                  for (const std::string_view line : split(log, '\n')) {
                      const size_t at = line.find(" endpoint=");
                      if (at == line.npos || line.find(" path=/api/turn ") == line.npos) continue;
                      const std::string_view endpoint = line.substr(at + 10, line.find(' ', at + 10) - at - 10);
                      ++times[std::string(endpoint.substr(0, endpoint.find(':')))];
                  }
                  int all = 0;
                  for (const auto& [pod, n] : times) {
                      all += n;
                      if (!pods.contains(pod)) return "went to " + pod;
                      if (n < 2) return pod + " had " + std::to_string(n);
                  }
                  return all == 8 && times.size() == 2 ? "" : std::to_string(all) + " requests in the log";
              }),
              "");
}

// Fact 6, by Kubernetes' rules.
TEST_F(Ingress, ING_21_24_hosts_are_compared_and_unknown_ones_not_found) {
    EXPECT_EQ(code_of("http://" + address() + "/exact", "-H 'Host: PATHS.example.test:80'"), "200");
    EXPECT_EQ(code_of("http://" + address() + "/exact", "-H 'Host: other.example.test'"), "404");
    EXPECT_EQ(code_of("http://" + address() + "/exact", "-H 'Host:'"), "400");
    EXPECT_EQ(code_of("https://" + host + "/", "-k"), "000") << "nothing listens on 443 before somebody asks for TLS";
}

TEST_F(Ingress, ING_25_28_a_class_gives_an_address_and_losing_it_takes_it) {
    ASSERT_TRUE(world
                    ->apply("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: bare, namespace: ex-22}\n"
                            "spec:\n  ingressClassName: weft\n  defaultBackend: {service: {name: rest-svc, port: {name: http}}}\n"
                            "  rules: [{host: bare.example.test}]\n")
                    .ok());
    const auto shown = [] { return world->field("ing bare", "{.status.loadBalancer.ingress[0].ip}", "ex-22"); };
    EXPECT_EQ(eventually(10, [&] { return shown() == address() ? "" : "shows \"" + shown() + "\""; }), "");
    const auto asked = [] { return code_of("http://" + address() + "/any", "-H 'Host: bare.example.test'"); };
    EXPECT_EQ(eventually(10, [&] { return asked() == "200" ? "" : asked(); }), "");
    ASSERT_TRUE(world->kubectl("-n ex-22 patch ing bare --type merge -p '{\"spec\":{\"ingressClassName\":\"foreign\"}}'").ok());
    EXPECT_EQ(eventually(10, [&] { return shown().empty() ? "" : "still shows " + shown(); }), "");
    EXPECT_EQ(eventually(10, [&] { return asked() == "404" ? "" : asked(); }), "");
    world->kubectl("-n ex-22 delete ing bare");
}

TEST_F(Ingress, ING_27_what_is_missing_is_503_and_an_event_on_its_own_ingress) {
    ASSERT_TRUE(world
                    ->apply("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: gone, namespace: ex-22}\n"
                            "spec:\n  ingressClassName: weft\n  rules:\n  - host: " +
                            host +
                            "\n    http:\n      paths:\n"
                            "      - {path: /gone, pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}}\n")
                    .ok());
    EXPECT_EQ(eventually(10, [] { return code_of("http://" + host + "/gone") == "503" ? "" : "not 503"; }), "");
    EXPECT_EQ(code_of("http://" + host + "/exact"), "200");
    EXPECT_EQ(eventually(10,
                         [] {
                             const std::string text = world->kubectl("-n ex-22 get events").text;
                             const bool told = text.find("BackendNotFound") != std::string::npos &&
                                               text.find("ex-22/gone does not exist") != std::string::npos;
                             return told ? "" : text;
                         }),
              "");
    world->kubectl("-n ex-22 delete ing gone");
}

TEST_F(Ingress, ING_29_the_backend_sees_the_client_and_nothing_forged) {
    const std::string said = curl("http://" + host + "/exact", "-H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Host: evil'");
    EXPECT_NE(said.find("\"X-Forwarded-For\":\"198.51.100.7\""), std::string::npos) << said;
    EXPECT_NE(said.find("\"X-Forwarded-Proto\":\"http\""), std::string::npos) << said;
    EXPECT_NE(said.find("\"X-Forwarded-Host\":\"" + host + "\""), std::string::npos) << said;
    EXPECT_EQ(said.find("evil"), std::string::npos) << said;
}

// A client and a server that are not ours, and curl's view of the same hand-shake.
TEST_F(Ingress, ING_29_websockets_pass_through) {
    ASSERT_TRUE(world
                    ->apply("apiVersion: v1\nkind: Pod\nmetadata: {name: chat, namespace: ex-22, labels: {app: chat}}\n"
                            "spec: {containers: [{name: c, image: client, command: [python3, " +
                            root() + "/test/support/web_socket.py, serve, '8090']}]}\n---\n"
                            "apiVersion: v1\nkind: Service\nmetadata: {name: chat, namespace: ex-22}\n"
                            "spec: {selector: {app: chat}, ports: [{port: 80, targetPort: 8090}]}\n---\n"
                            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: chat, namespace: ex-22}\n"
                            "spec: {ingressClassName: weft, rules: [{host: chat.example.test, http: {paths: [{path: /chat, "
                            "pathType: Prefix, backend: {service: {name: chat, port: {number: 80}}}}]}}]}\n")
                    .ok());
    const std::string ask = "python3 " + root() + "/test/support/web_socket.py ask " + address() + " 80 chat.example.test hi again";
    EXPECT_EQ(eventually(20, [&] {
                  const std::string said = world->from("internet", ask).text;
                  return said == "echo hi\necho again\n" ? "" : said;
              }),
              "");
    const std::string handshake =
        curl("http://" + address() + "/chat", "-i --no-show-error --max-time 2 -H 'Host: chat.example.test' -H 'Connection: Upgrade' "
             "-H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='");
    EXPECT_TRUE(handshake.starts_with("HTTP/1.1 101 ")) << handshake;
    EXPECT_NE(handshake.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos) << handshake;
    world->kubectl("-n ex-22 delete ing/chat svc/chat pod/chat --wait=false");
}

// A Secret of its own making; the certificate's file for curl to trust.
static std::string make_secret(const std::string& name) {
    const std::string folder = world->instance().run_dir();
    const std::string key = folder + "/test-" + name + ".key", certificate = folder + "/test-" + name + ".pem";
    const Output made = run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" + name +
                            " -addext subjectAltName=DNS:" + host + " -keyout " + key + " -out " + certificate);
    EXPECT_TRUE(made.ok()) << made.text;
    const auto base64 = [](const std::string& path) { return base64_encode(MUST(read_file(path))); };
    const Output applied = world->apply("apiVersion: v1\nkind: Secret\nmetadata: {name: paths, namespace: ex-22}\n"
                                        "type: kubernetes.io/tls\ndata: {tls.crt: " +
                                        base64(certificate) + ", tls.key: " + base64(key) + "}\n");
    EXPECT_TRUE(applied.ok()) << applied.text;
    return certificate;
}

// The names on certificates that a client of `name` is shown.
static std::string shown_to(const std::string& name) {
    const std::string text =
        world->from("internet", "openssl s_client -connect " + address() + ":443 -servername " + name + " </dev/null 2>&1").text;
    const size_t at = text.find("subject=");
    return at == std::string::npos ? text : text.substr(at + 8, text.find('\n', at) - at - 8);
}

TEST_F(Ingress, ING_26_https_with_a_certificate_that_comes_changes_and_breaks) {
    ASSERT_TRUE(world->kubectl("-n ex-22 patch ing main --type merge -p '{\"spec\":{\"tls\":[{\"hosts\":[\"" + host +
                               "\"],\"secretName\":\"paths\"}]}}'")
                    .ok());
    const auto shows = [](const std::string& wanted) {
        return eventually(10, [&] { return shown_to(host) == wanted ? "" : shown_to(host); });
    };
    EXPECT_EQ(shows("CN = weft default certificate"), "") << "there is no Secret yet";
    EXPECT_EQ(eventually(10,
                         [] {
                             const std::string text = world->kubectl("-n ex-22 get events").text;
                             return text.find("CertificateNotFound") != std::string::npos ? "" : text;
                         }),
              "");
    const std::string first = make_secret("first");
    EXPECT_EQ(shows("CN = first"), "");
    EXPECT_EQ(code_of("https://" + host + "/exact", "--cacert " + first), "200");
    EXPECT_EQ(shown_to("other.example.test"), "CN = weft default certificate");
    EXPECT_EQ(code_of("http://" + host + "/exact"), "200") << "plain HTTP goes on";
    const std::string second = make_secret("second");
    EXPECT_EQ(shows("CN = second"), "");
    EXPECT_EQ(code_of("https://" + host + "/exact", "--cacert " + second), "200");
    const std::string said = curl("https://" + host + "/exact", "--cacert " + second);
    EXPECT_NE(said.find("\"X-Forwarded-Proto\":\"https\""), std::string::npos) << said;
    ASSERT_TRUE(world->kubectl("-n ex-22 patch secret paths --type merge -p '{\"data\":{\"tls.key\":\"bm90IGEga2V5\"}}'").ok());
    EXPECT_EQ(shows("CN = weft default certificate"), "");
    EXPECT_EQ(code_of("https://" + host + "/exact", "-k"), "200");
    ASSERT_TRUE(world->kubectl("-n ex-22 patch ing main --type merge -p '{\"spec\":{\"tls\":null}}'").ok());
    EXPECT_EQ(eventually(10, [] { return code_of("https://" + host + "/", "-k") == "000" ? "" : "still listening"; }), "");
}

}  // namespace weft::test

int main(int argc, char** argv) {
    return weft::test::run_scenario(argc, argv);
}
