// The agent against the real kernel: a node namespace of its own, the API in a map, two VPCs with the same addresses.
//
//      weft-I-internet eth0 198.18.0.1 ──────── 198.18.1.1 eth0 weft-I-n1 (agent)
//                                                    │  pod_egress at each door
//        ┌──────────────┬──────────────┬─────────────┴┬──────────────┐
//   default/client  default/web    blue/client     blue/web     weft-I-n1-v101, -v102
//     10.0.1.1        10.0.1.2       10.0.1.1        10.0.1.2     (service endpoints)
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/main.h"
#include "base/metrics.h"
#include "kernel/bpf_object.h"
#include "kernel/cgroup.h"
#include "kernel/cgroup_link.h"
#include "kernel/link.h"
#include "kernel/netns.h"
#include "kernel/ownership.h"
#include "kernel/route.h"
#include "kernel/sysctl.h"
#include "kernel/tc.h"
#include "kube/fake_client.h"
#include "protocol/cni.h"

namespace weft::agent {
namespace {

using kernel::Netlink;
using kernel::Netns;
using protocol::cni::Answer;
using protocol::cni::Command;
using protocol::cni::Reply;
using protocol::cni::Request;
using namespace std::chrono_literals;

constexpr const char* node = "n1";

net::Address ip(const char* text) { return MUST(net::Address::parse(text)); }

constexpr std::string_view objects = R"(
apiVersion: v1
kind: Node
metadata: {name: n1, annotations: {weft.dev/service-address: 100.64.0.2, weft.dev/host-address: 100.64.0.3}}
---
apiVersion: weft.dev/v1
kind: VPC
metadata: {name: vpc-demo}
spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20, default: true,
  ipv6CidrBlock: "fd00:10::/56", ipv6ServiceCIDR: "fd00:1::/112"}
status: {vni: 101, ingressAddresses: {weft.dev/ingress: 203.0.113.9}}
---
apiVersion: weft.dev/v1
kind: VPC
metadata: {name: vpc-blue}
spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20}
status: {vni: 102}
---
apiVersion: weft.dev/v1
kind: VSwitch
metadata: {name: vsw-a}
spec: {vpc: vpc-demo, zone: z-a, cidrBlock: 10.0.1.0/24}
status: {ipv6CidrBlock: "fd00:10::/64"}
---
apiVersion: weft.dev/v1
kind: VSwitch
metadata: {name: vsw-b}
spec: {vpc: vpc-blue, zone: z-a, cidrBlock: 10.0.1.0/24}
---
apiVersion: weft.dev/v1
kind: AddressBlock
metadata: {name: vsw-a-10-0-1-0}
spec: {vpc: vpc-demo, vSwitch: vsw-a, cidr: 10.0.1.0/28, node: n1}
---
apiVersion: weft.dev/v1
kind: AddressBlock
metadata: {name: vsw-b-10-0-1-0}
spec: {vpc: vpc-blue, vSwitch: vsw-b, cidr: 10.0.1.0/28, node: n1}
---
apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Namespace
metadata: {name: blue, annotations: {weft.dev/vpc: vpc-blue}}
)";

std::string pod_yaml(const std::string& ns, const std::string& name, const std::string& vswitch) {
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: " + ns + ", uid: " + ns + "-" + name +
           ", annotations: {weft.dev/vswitch: " + vswitch +
           "}}\nspec: {nodeName: n1, containers: [{name: c, image: x}]}\n";
}

std::string service_yaml(const std::string& ns, const std::string& type, const std::string& balancer) {
    const std::string status = balancer.empty() ? "" : "status: {loadBalancer: {ingress: [{ip: " + balancer + "}]}}\n";
    return "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: " + ns + "}\nspec: {type: " + type +
           ", clusterIP: 172.21.0.20, clusterIPs: [172.21.0.20], ports: [{name: http, port: 80, protocol: TCP, "
           "targetPort: 8080}]}\n" +
           status +
           "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, namespace: " + ns +
           ", labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\nports: [{name: http, port: 8080, "
           "protocol: "
           "TCP}]\nendpoints: [{addresses: [10.0.1.2], conditions: {ready: true}, nodeName: n1}]\n";
}

// A TCP server in a namespace that says its name to whoever connects.
class NameServer {
public:
    NameServer(const Netns& netns, uint16_t port, std::string name) : name_(std::move(name)) {
        listener_ = MUST(netns.run([&]() -> Result<Fd> {
            Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            const int on = 1;
            ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
            sockaddr_in any{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {INADDR_ANY}, .sin_zero = {}};
            if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), sizeof(any)) != 0) return fail_errno("bind");
            if (::listen(fd.get(), 16) != 0) return fail_errno("listen");
            return fd;
        }));
        thread_ = std::jthread([this](std::stop_token stop) {
            while (!stop.stop_requested()) {
                pollfd ready{listener_.get(), POLLIN, 0};
                if (::poll(&ready, 1, 50) <= 0) continue;
                sockaddr_in peer{};
                socklen_t bytes = sizeof(peer);
                const Fd client(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &bytes, SOCK_CLOEXEC));
                const std::string text = name_ + " sees " + net::Address::v4(ntohl(peer.sin_addr.s_addr)).text();
                (void)!::write(client.get(), text.data(), text.size());
            }
        });
    }

private:
    std::string name_;
    Fd listener_;
    std::jthread thread_;
};

// What the server at that address says; an error when it refuses or does not answer within 3 s.
Result<std::string> ask_tcp(const Netns& from, const net::Address& address, uint16_t port) {
    return from.run([&]() -> Result<std::string> {
        const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const timeval patience{.tv_sec = 3, .tv_usec = 0};
        ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        sockaddr_in to{.sin_family = AF_INET,
                       .sin_port = htons(port),
                       .sin_addr = {htonl(address.v4_host_order())},
                       .sin_zero = {}};
        if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) return fail_errno("connect");
        char buffer[128];
        const ssize_t got = ::recv(fd.get(), buffer, sizeof(buffer), 0);
        if (got <= 0) return fail_errno("receive");
        return std::string(buffer, size_t(got));
    });
}

// A TCP server that says nothing: who reaches it is what counts.
class Ipv6Server {
public:
    Ipv6Server(const Netns& netns, uint16_t port) : port_(port), listener_(socket_in(netns)) {
        const sockaddr_in6 any = to("::");
        ENSURE(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)) == 0);
        ENSURE(::listen(listener_.get(), 16) == 0);
    }

    // The source that the server sees, or what failed.
    std::string who_asks(const Netns& from, const char* address) const {
        const Fd client = socket_in(from);
        const sockaddr_in6 remote = to(address);
        if (::connect(client.get(), reinterpret_cast<const sockaddr*>(&remote), sizeof(remote)) != 0)
            return std::string("connect: ") + strerror(errno);
        sockaddr_in6 peer{};
        socklen_t bytes = sizeof(peer);
        const Fd accepted(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &bytes, SOCK_CLOEXEC));
        if (!accepted) return std::string("accept: ") + strerror(errno);
        net::Address seen;
        std::memcpy(seen.bytes.data(), &peer.sin6_addr, seen.bytes.size());
        return seen.text();
    }

private:
    static Fd socket_in(const Netns& netns) {
        return MUST(netns.run([&]() -> Result<Fd> {
            Fd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
            if (!fd) return fail_errno("socket");
            const timeval patience{.tv_sec = 3, .tv_usec = 0};
            ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
            ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
            return fd;
        }));
    }
    sockaddr_in6 to(const char* address) const {
        sockaddr_in6 out{};
        out.sin6_family = AF_INET6;
        out.sin6_port = htons(port_);
        std::memcpy(&out.sin6_addr, ip(address).bytes.data(), 16);
        return out;
    }

    uint16_t port_;
    Fd listener_;
};

class World {
public:
    World() : instance_(MUST(Instance::parse("at" + std::to_string(getpid())))) {
        clean();
        node_.emplace(MUST(Netns::create(instance_.node_netns(node))));
        internet_.emplace(MUST(Netns::create(instance_.internet_netns())));
        Netlink at_node = MUST(Netlink::open(*node_));
        Netlink at_internet = MUST(Netlink::open(*internet_));
        MUST(kernel::create_veth(at_node, {"eth0"}, {"eth0", &*internet_}));
        const int uplink = MUST(kernel::find_link(at_node, "eth0")).index;
        const int street = MUST(kernel::find_link(at_internet, "eth0")).index;
        MUST(kernel::put_address(at_node, {.link = uplink, .address = ip("198.18.1.1"), .length = 16}));
        MUST(kernel::put_address(at_internet, {.link = street, .address = ip("198.18.0.1"), .length = 16}));
        MUST(kernel::put_address(at_internet, {.link = 1, .address = ip("198.51.100.7"), .length = 32}));
        MUST(kernel::set_link_up(at_node, uplink, true));
        MUST(kernel::set_link_up(at_internet, street, true));
        MUST(kernel::put_route(at_node,
                               {.destination = kernel::default_v4(), .gateway = ip("198.18.0.1"), .link = uplink}));
        MUST(kernel::put_route(at_internet, {.destination = MUST(net::Prefix::parse("203.0.113.0/24")),
                                             .source = ip("198.51.100.7"),
                                             .link = street,
                                             .scope = kernel::RouteScope::link}));
        api.seed(objects);
    }

    ~World() {
        stop_agent();
        clean();
    }

    void start_agent() {
        stop_.emplace();
        agent_ = std::thread([this, token = stop_->get_token()] {
            const Options options{.instance = instance_, .node = node, .uplink = "eth0", .api = {}};
            ended_ = node_->run([&]() -> Status { return run(options, api, token); });
        });
    }

    void stop_agent() {
        if (!agent_.joinable()) return;
        stop_->request_stop();
        agent_.join();
        EXPECT_TRUE(ended_.has_value()) << (ended_ ? "" : ended_.error().message);
    }

    // Waits for the agent's own word that everything is programmed.
    bool wait_ready() {
        for (int i = 0; i < 500; ++i) {
            if (ready()) return true;
            std::this_thread::sleep_for(10ms);
        }
        return false;
    }

    Reply call(const Request& request) {
        const Fd fd = connect_to(instance_.agent_socket(node));
        if (!fd) return Reply::error(Answer::internal, "no agent");
        MUST(protocol::cni::send_all(fd.get(), protocol::cni::encode(request)));
        return MUST(protocol::cni::decode_reply(MUST(protocol::cni::receive_all(fd.get()))));
    }

    Request request(Command command, const std::string& ns, const std::string& pod) {
        return {command, "c-" + ns + "-" + pod, "eth0", Instance::netns_path(instance_.pod_netns(ns + "-" + pod)), ns,
                pod,     ns + "-" + pod,        0};
    }

    Reply add(const std::string& ns, const std::string& pod) {
        MUST(Netns::open_or_create(instance_.pod_netns(ns + "-" + pod)));
        return call(request(Command::add, ns, pod));
    }

    Netns pod(const std::string& ns, const std::string& name) {
        return MUST(Netns::open(instance_.pod_netns(ns + "-" + name)));
    }

    const Netns& node_netns() { return *node_; }
    const Netns& internet() { return *internet_; }
    const Instance& instance() const { return instance_; }

    kube::FakeClient api;

private:
    static Fd connect_to(const std::string& path) {
        for (int i = 0; i < 3000; ++i) {  // the verifier reads every program first
            Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
            sockaddr_un address{};
            address.sun_family = AF_UNIX;
            std::strcpy(address.sun_path, path.c_str());
            if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
            std::this_thread::sleep_for(10ms);
        }
        return Fd();
    }

    bool ready() {
        const Fd fd = connect_to(instance_.node_run_dir(node) + "/agent.health.sock");
        if (!fd) return false;
        const std::string_view question = "GET /readyz HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n";
        (void)!::write(fd.get(), question.data(), question.size());
        char buffer[64];
        const ssize_t got = ::recv(fd.get(), buffer, sizeof(buffer), 0);
        return got > 12 && std::string_view(buffer, size_t(got)).substr(9, 3) == "200";
    }

    // By name: also what an earlier run of the same pid left.
    void clean() {
        for (const std::string& name : MUST(Netns::list()))
            if (name.starts_with("weft-" + instance_.name() + "-")) (void)Netns::remove(name);
        (void)kernel::detach_socket_programs(instance_.bpf_dir(node));
        if (const auto mount = kernel::find_cgroup2()) (void)kernel::remove_cgroup(*mount, instance_.cgroup());
        (void)kernel::unmount_bpf_filesystem(instance_.bpf_mount());
        (void)remove_tree(instance_.run_dir());
    }

    Instance instance_;
    std::optional<Netns> node_, internet_;
    std::optional<std::stop_source> stop_;
    std::thread agent_;
    Status ended_;
};

// One world for all scenes: they follow a node's life in order.
TEST(Agent, a_nodes_life_in_scenes) {
    World world;
    for (const char* pod : {"client", "web"}) {
        world.api.seed(pod_yaml("default", pod, "vsw-a"));
        world.api.seed(pod_yaml("blue", pod, "vsw-b"));
    }
    world.api.seed(service_yaml("default", "LoadBalancer", "203.0.113.10"));
    world.api.seed(service_yaml("blue", "ClusterIP", ""));
    world.start_agent();

    // Scene 1: four pods in two VPCs get the same two addresses.
    for (const char* ns : {"default", "blue"}) {
        const Reply client = world.add(ns, "client");
        ASSERT_EQ(client.answer, Answer::ok) << client.message << ": " << client.details;
        EXPECT_EQ(client.wired.address, "10.0.1.1");
        const Reply web = world.add(ns, "web");
        ASSERT_EQ(web.answer, Answer::ok) << web.message << ": " << web.details;
        EXPECT_EQ(web.wired.address, "10.0.1.2");
        const bool has_ipv6 = std::string_view(ns) == "default";
        EXPECT_EQ(web.wired.ipv6, has_ipv6 ? "fd00:10::2" : "");
        EXPECT_EQ(web.wired.ipv6_gateway, has_ipv6 ? "fe80::1" : "");
    }
    ASSERT_TRUE(world.wait_ready());
    const Ipv6Server server(world.pod("default", "web"), 8086);
    EXPECT_EQ(server.who_asks(world.pod("default", "client"), "fd00:10::2"), "fd00:10::1");
    EXPECT_EQ(server.who_asks(world.node_netns(), "fd00:10::2"), "fd77:6566:7400::6440:3");

    // Scene 2: each VPC is a world of its own, by pod address and by ClusterIP.
    const NameServer web(world.pod("default", "web"), 8080, "demo");
    const NameServer blue_web(world.pod("blue", "web"), 8080, "blue");
    EXPECT_EQ(ask_tcp(world.pod("default", "client"), ip("10.0.1.2"), 8080).value_or("none"), "demo sees 10.0.1.1");
    EXPECT_EQ(ask_tcp(world.pod("blue", "client"), ip("10.0.1.2"), 8080).value_or("none"), "blue sees 10.0.1.1");
    EXPECT_EQ(ask_tcp(world.pod("default", "client"), ip("172.21.0.20"), 80).value_or("none"), "demo sees 10.0.1.1");
    EXPECT_EQ(ask_tcp(world.pod("blue", "client"), ip("172.21.0.20"), 80).value_or("none"), "blue sees 10.0.1.1");
    EXPECT_EQ(ask_tcp(world.pod("default", "client"), ip("172.21.0.20"), 81).error().message.find("refused") !=
                  std::string::npos,
              true);

    // Scene 3: the public address is reached from the Internet, the pod sees who asks; the host is an endpoint too.
    EXPECT_EQ(ask_tcp(world.internet(), ip("203.0.113.10"), 80).value_or("none"), "demo sees 198.51.100.7");
    EXPECT_EQ(ask_tcp(world.node_netns(), ip("10.0.1.2"), 8080).value_or("none"), "demo sees 100.64.0.3");

    // Scene 4: the service endpoint answers on the VPC's DNS address and on its ingress address.
    const Netns endpoint = MUST(Netns::open(world.instance().vpc_netns(node, 101)));
    const NameServer dns(endpoint, 53, "dns");
    const NameServer alb(endpoint, 80, "alb");
    EXPECT_EQ(ask_tcp(world.pod("default", "client"), ip("172.21.0.10"), 53).value_or("none"), "dns sees 10.0.1.1");
    EXPECT_EQ(ask_tcp(world.internet(), ip("203.0.113.9"), 80).value_or("none"), "alb sees 198.51.100.7");
    EXPECT_EQ(ask_tcp(endpoint, ip("10.0.1.2"), 8080).value_or("none"), "demo sees 100.64.0.2");

    // Scene 5: the blocks' statuses say who has what.
    for (int i = 0; i < 200; ++i) {
        if (world.api.get(kube::address_blocks, {"", "vsw-a-10-0-1-0"})->integer({"status", "used"}) == 2) break;
        std::this_thread::sleep_for(10ms);
    }
    const auto block = world.api.get(kube::address_blocks, {"", "vsw-a-10-0-1-0"}).value();
    EXPECT_EQ(block.integer({"status", "used"}), 2);
    EXPECT_EQ(block.integer({"status", "free"}), 13);
    EXPECT_EQ(json::find_string(block.array({"status", "allocations"})[1], {"name"}), "web");

    // Scene 6: ADD again is refused and changes nothing (CNI-30); CHECK agrees, and names what was broken by hand.
    EXPECT_EQ(world.add("default", "web").answer, Answer::interface_exists);
    EXPECT_EQ(world.call(world.request(Command::check, "default", "web")).answer, Answer::ok);
    {
        const Netns pod = world.pod("default", "web");
        Netlink inside = MUST(Netlink::open(pod));
        const int link = MUST(kernel::find_link(inside, "eth0")).index;
        const kernel::Route route = MUST(kernel::list_routes(inside, kernel::route_protocol)).at(0);
        MUST(kernel::delete_route(inside, route));
        EXPECT_EQ(world.call(world.request(Command::check, "default", "web")).answer, Answer::check_difference);
        MUST(kernel::put_route(inside, route));
        EXPECT_EQ(world.call(world.request(Command::check, "default", "web")).answer, Answer::ok) << link;
    }

    // Scene 7: a restart with unchanged objects changes nothing, and traffic goes on meanwhile.
    const std::string host_link = world.call(world.request(Command::check, "default", "web")).wired.host_link;
    Netlink at_node = MUST(Netlink::open(world.node_netns()));
    const int ifindex = MUST(kernel::find_link(at_node, host_link)).index;
    const auto filter = MUST(kernel::find_filter(at_node, ifindex, kernel::Direction::ingress));
    world.stop_agent();
    EXPECT_EQ(ask_tcp(world.pod("blue", "client"), ip("172.21.0.20"), 80).value_or("none"), "blue sees 10.0.1.1");
    const uint64_t writes = metrics::counter("weft_map_writes_total").value();
    const uint64_t changes = metrics::counter("weft_netlink_changes_total").value();
    world.start_agent();
    ASSERT_TRUE(world.wait_ready());
    EXPECT_EQ(world.call(world.request(Command::check, "default", "web")).answer, Answer::ok);
    EXPECT_EQ(metrics::counter("weft_map_writes_total").value() - writes, 0u);
    EXPECT_EQ(metrics::counter("weft_netlink_changes_total").value() - changes, 0u);
    EXPECT_EQ(MUST(kernel::find_filter(at_node, ifindex, kernel::Direction::ingress)), filter);

    // Scene 8: DEL frees, forgives a second time, and the address rests before the next pod gets another one.
    EXPECT_EQ(world.call(world.request(Command::del, "default", "web")).answer, Answer::ok);
    EXPECT_EQ(world.call(world.request(Command::del, "default", "web")).answer, Answer::ok);
    EXPECT_EQ(kernel::find_link(at_node, host_link).error().code, Code::not_found);
    EXPECT_EQ(world.call(world.request(Command::check, "default", "web")).answer, Answer::check_difference);
    EXPECT_EQ(world.add("default", "web").wired.address, "10.0.1.3");

    // Scene 9: a pod that nobody knows is waited for, then "try again".
    const auto before = std::chrono::steady_clock::now();
    const Reply unknown = world.add("default", "nobody");
    EXPECT_EQ(unknown.answer, Answer::try_again) << unknown.message;
    EXPECT_GE(std::chrono::steady_clock::now() - before, 4900ms);
    EXPECT_LE(std::chrono::steady_clock::now() - before, 7s);

    // Scene 10: one that appears meanwhile is wired at once.
    std::thread late([&] {
        std::this_thread::sleep_for(300ms);
        world.api.seed(pod_yaml("default", "nobody", "vsw-a"));
    });
    EXPECT_EQ(world.add("default", "nobody").answer, Answer::ok);
    late.join();
}

}  // namespace
}  // namespace weft::agent
