#include "support/lab.h"

#include <fmt/format.h>

#include <set>

#include "base/strings.h"
#include "kernel/multicast.h"

namespace weft::test {

std::string plug(const World& world, unsigned node_number, bool in) {
    const Output output = run(fmt::format("nsenter --net={} ip link set port{} {}",
                                          Instance::netns_path(world.instance().fabric_netns()), node_number, in ? "up" : "down"));
    return output.text;
}

static std::string mac_in(const std::string& text, std::string_view before) {
    const size_t at = text.find(before);
    return at == std::string::npos ? "" : text.substr(at + before.size(), 17);
}

std::string announcer_of(const World& world, const std::string& address) {
    const std::string street = "nsenter --net=" + Instance::netns_path(world.instance().internet_netns());
    // A look-up that nobody answers leaves FAILED or nothing.
    const std::string neighbour =
        run(fmt::format("{0} ip neigh del {1} dev eth0 2>/dev/null; {0} timeout 1 bash -c 'echo > /dev/udp/{1}/9'; for i in 1 2 3 4 5 6 7 "
                        "8 9 10; do {0} ip neigh show {1} | grep lladdr && break; sleep 0.05; done",
                        street, address))
            .text;
    const std::string mac = mac_in(neighbour, "lladdr ");
    if (mac.empty()) return "";
    for (unsigned i = 1; i <= 9; ++i) {
        const std::string name = "n" + std::to_string(i);
        const std::string link =
            run("nsenter --net=" + Instance::netns_path(world.instance().node_netns(name)) + " ip -o link show eth0 2>/dev/null").text;
        if (mac_in(link, "link/ether ") == mac) return name;
    }
    return "somebody with MAC " + mac;
}

bool listens_for(const World& world, const std::string& node, const net::Address& ipv6) {
    const net::Mac group = kernel::solicited_node_group(ipv6);
    std::string digits = group.text();
    std::erase(digits, ':');
    return run("nsenter --net=" + Instance::netns_path(world.instance().node_netns(node)) +
               " awk '$2 == \"eth0\" && $5 == \"" + digits + "\"' /proc/thread-self/net/dev_mcast")
               .text.find(digits) != std::string::npos;
}

std::string deployment_yaml(const std::string& name, int replicas, const std::string& vswitch, const std::string& service_spec) {
    return fmt::format(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {0}}}
spec:
  replicas: {1}
  selector: {{matchLabels: {{app: {0}}}}}
  template:
    metadata: {{labels: {{app: {0}}}, annotations: {{network.alibabacloud.com/vswitch-ids: {2}}}}}
    spec: {{terminationGracePeriodSeconds: 0, containers: [{{name: echo, image: 'echo:demo'}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: {0}}}
spec:
  selector: {{app: {0}}}
  ports: [{{name: http, port: 80, targetPort: 8080}}, {{name: tcp, port: 9000}}]
  {3}
)",
                       name, replicas, vswitch, service_spec);
}

std::string pod_on(const std::string& name, const std::string& node, const std::string& app) {
    return fmt::format(R"(
apiVersion: v1
kind: Pod
metadata: {{name: {0}, labels: {{app: {2}}}}}
spec:
  nodeName: {1}
  terminationGracePeriodSeconds: 0
  containers: [{{name: echo, image: 'echo:demo'}}]
---
)",
                       name, node, app);
}

std::string who_answers(const std::string& command, int times) {
    std::set<std::string> names;
    for (int i = 0; i < times; ++i) {
        const Output output = run(command, 10);
        const size_t at = output.text.find("\"pod\":\"");
        if (at == std::string::npos) return "failed: " + std::string(trim(output.text));
        names.insert(output.text.substr(at + 7, output.text.find('"', at + 7) - at - 7));
    }
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
    return text;
}

}  // namespace weft::test
