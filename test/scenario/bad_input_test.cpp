// Bad input gets a clear answer that names the field, on the user's object; garbage gets its specified error; nothing dies.
#include "base/fd.h"
#include "base/strings.h"
#include "support/world_main.h"

namespace weft::test {

static std::string pod_yaml(const std::string& name, const std::string& annotations, const std::string& image = "echo:demo",
                            const std::string& ns = "default") {
    return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name + "\n  namespace: " + ns + "\n  annotations: {" + annotations +
           "}\nspec:\n  containers:\n  - {name: main, image: \"" + image + "\"}\n";
}

static void expect_refused(const std::string& yaml, const std::string& path) {
    const Output output = world->apply(yaml);
    EXPECT_NE(output.status, 0) << yaml;
    EXPECT_NE(output.text.find(path), std::string::npos) << path << " is not named in: " << output.text;
}

TEST(BadInput, what_a_schema_can_see_is_refused_with_the_path) {
    expect_refused("apiVersion: weft.dev/v1\nkind: VPC\nmetadata: {name: bad}\nspec: {cidrBlock: 10.0.0.300/16, serviceCIDR: 172.21.0.0/20}\n",
                   "spec.cidrBlock");
    expect_refused("apiVersion: weft.dev/v1\nkind: VPC\nmetadata: {name: bad}\nspec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 7}\n", "spec.serviceCIDR");
    expect_refused("apiVersion: weft.dev/v1\nkind: VSwitch\nmetadata: {name: bad}\nspec: {vpc: vpc-demo, cidrBlock: 10.0.7.0/24}\n", "spec.zone");
    expect_refused("apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 70000}]}\n", "spec.ports[0].port");
    expect_refused("apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {clusterIP: 10.9.9.9, ports: [{port: 80}]}\n", "spec.clusterIPs");
    expect_refused("apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {prots: [{port: 80}]}\n", "spec.prots");
    expect_refused("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: bad}\nspec: {rules: [{host: 1.2.3.4}]}\n", "spec.rules[0].host");
    expect_refused("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad}\nspec: {selector: {matchLabels: {a: b}}, "
                   "template: {metadata: {labels: {a: c}}, spec: {containers: [{name: x, image: echo}]}}}\n",
                   "spec.template.metadata.labels");
}

static std::string eventually_event(const std::string& object, const std::string& reason, const std::string& naming) {
    return eventually(15, [&]() -> std::string {
        const Output events = world->kubectl("get events --field-selector involvedObject.name=" + object + " -o jsonpath='{range .items[*]}{.reason}: {.message}{\"\\n\"}{end}'");
        if (events.text.find(reason) == std::string::npos) return "no event " + reason + " in: " + events.text;
        return events.text.find(naming) == std::string::npos ? naming + " is not named in: " + events.text : "";
    });
}

TEST(BadInput, a_bad_annotation_keeps_the_pod_pending_and_says_why_on_the_pod) {
    ASSERT_TRUE(world->apply(pod_yaml("nowhere", "network.alibabacloud.com/vswitch-ids: vsw-nowhere")).ok());
    EXPECT_EQ(eventually_event("nowhere", "VSwitchNotFound", "vsw-nowhere"), "");
    ASSERT_TRUE(world->apply(pod_yaml("foreign", "network.alibabacloud.com/vswitch-ids: vsw-blue-a")).ok());
    EXPECT_EQ(eventually_event("foreign", "VPCMismatch", "vsw-blue-a"), "");
    for (const char* pod : {"nowhere", "foreign"}) {
        EXPECT_EQ(world->field(std::string("pod ") + pod, "{.status.phase}"), "Pending");
        EXPECT_EQ(world->field(std::string("pod ") + pod, "{.status.conditions[?(@.type==\"PodScheduled\")].status}"), "False");
    }
    world->kubectl("delete pod nowhere foreign --wait=false");
}

TEST(BadInput, an_unknown_image_shows_as_kubernetes_shows_it) {
    ASSERT_TRUE(world->apply(pod_yaml("unknown-image", "", "no/such:image")).ok());
    EXPECT_EQ(eventually(15, [] {
                  const std::string reason =
                      world->field("pod unknown-image", "{.status.containerStatuses[0].state.waiting.reason}");
                  return reason == "ErrImagePull" || reason == "ImagePullBackOff" ? std::string() : "reason: " + reason;
              }),
              "");
    world->kubectl("delete pod unknown-image --wait=false");
}

TEST(BadInput, objects_that_contradict_each_other_say_so_in_a_condition) {
    ASSERT_TRUE(world->apply("apiVersion: weft.dev/v1\nkind: VSwitch\nmetadata: {name: vsw-outside}\n"
                             "spec: {vpc: vpc-demo, zone: cn-local-a, cidrBlock: 192.168.7.0/24}\n")
                    .ok());
    EXPECT_EQ(eventually(10, [] {
                  const std::string message =
                      world->field("vsw vsw-outside", "{.status.conditions[?(@.type==\"Accepted\")].message}");
                  return message.find("spec.cidrBlock") != std::string::npos ? std::string() : "message: " + message;
              }),
              "");
    EXPECT_EQ(world->field("vsw vsw-outside", "{.status.conditions[?(@.type==\"Accepted\")].status}"), "False");
    EXPECT_TRUE(world->kubectl("delete vsw vsw-outside --timeout=10s").ok());
}

TEST(BadInput, a_vpc_in_use_is_not_deleted_and_says_what_uses_it) {
    EXPECT_TRUE(world->kubectl("delete vpc vpc-blue --wait=false").ok());
    EXPECT_EQ(eventually(10, [] {
                  const Output vpc = world->kubectl("get vpc vpc-blue -o yaml");
                  const bool told = vpc.text.find("deletionTimestamp") != std::string::npos && vpc.text.find("vsw-blue") != std::string::npos;
                  return told ? std::string() : vpc.text;
              }),
              "");
}

TEST(BadInput, garbage_at_the_doors_is_answered_and_nothing_dies) {
    std::vector<int> pids;
    for (const char* process : {"apiserver", "controller", "agent", "keeper", "runtime", "alb", "dns"}) pids.push_back(world->pid_of(process));
    const std::string ingress = world->field("ing", "{.items[0].status.loadBalancer.ingress[0].ip}");
    const Output garbage = world->from("internet", "head -c 4000 /dev/urandom | timeout 3 nc -q1 " + ingress + " 80 | head -c 12");
    EXPECT_EQ(garbage.text, "HTTP/1.1 400") << garbage.text;
    const Output smuggle = world->from(
        "internet", "printf 'POST / HTTP/1.1\\r\\nHost: shop.example.test\\r\\nContent-Length: 3\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n' | timeout 3 nc -q1 " +
                        ingress + " 80 | head -c 12");
    EXPECT_EQ(smuggle.text, "HTTP/1.1 400") << smuggle.text;
    const std::string dns = world->field("svc kube-dns", "{.spec.clusterIP}", "kube-system");
    world->in_pod("default", "client", "for i in $(seq 50); do head -c $((i * 20)) /dev/urandom | timeout 1 nc -u -q0 " + dns + " 53 >/dev/null; done", 90);
    EXPECT_FALSE(trim(world->in_pod("default", "client", "dig +short web.default.svc.cluster.local").text).empty());

    const std::string socket = world->instance().api_socket();
    const std::string token = std::string(trim(MUST(read_file(world->instance().token_file("up")))));
    const auto post = [&](const std::string& body) {
        return run("printf '%b' '" + body + "' | curl -s -o /dev/null -w '%{http_code}' --unix-socket " + socket + " -H 'Authorization: Bearer " + token +
                   "' -H 'Content-Type: application/json' --data-binary @- http://localhost/api/v1/namespaces/default/configmaps")
            .text;
    };
    EXPECT_EQ(post("{\"kind\":"), "400");
    EXPECT_EQ(post("{\"a\":\"\\xff\\xfe\"}"), "400");
    EXPECT_EQ(post(std::string(200, '[')), "400");
    EXPECT_EQ(run("head -c 4000000 /dev/zero | tr '\\0' ' ' | curl -s -o /dev/null -w '%{http_code}' --unix-socket " + socket +
                  " -H 'Authorization: Bearer " + token +
                  "' -H 'Content-Type: application/json' --data-binary @- http://localhost/api/v1/namespaces/default/configmaps")
                  .text,
              "413");
    EXPECT_EQ(run("curl -s -o /dev/null -w '%{http_code}' --unix-socket " + socket + " http://localhost/api/v1/nodes").text, "401");
    const Output cni = run("printf '{\"cniVersion\":' | CNI_COMMAND=ADD CNI_CONTAINERID=x CNI_NETNS=/x CNI_IFNAME=eth0 CNI_PATH=/ CNI_ARGS='K8S_POD_NAMESPACE=a;K8S_POD_NAME=b' " +
                           std::string(WEFT_BIN) + "/weft-cni");
    EXPECT_NE(cni.text.find("\"code\":6"), std::string::npos) << cni.text;

    size_t i = 0;
    for (const char* process : {"apiserver", "controller", "agent", "keeper", "runtime", "alb", "dns"})
        EXPECT_EQ(world->pid_of(process), pids[i++]) << process << " was restarted";
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv); }
