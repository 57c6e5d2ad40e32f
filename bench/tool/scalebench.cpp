// scalebench: the objects of a large cluster made in bulk, and how long one change takes among them, for bench/scale/run.
//
//   scalebench --instance I make NODES VPCS SERVICES ENDPOINTS THREADS
//       NODES Nodes without agents; VPCS VPCs with equal CIDRs, in each an AddressBlock per Node and SERVICES Services of
//       ENDPOINTS endpoints, spread over the Nodes
//   scalebench --instance I change NODE N
//       N changes each of a Service's port, an AddressBlock and a Node: from the API's reply to the row in NODE's map
//
// Every line it prints is "name value unit". What lies on a Node without an agent is as unreachable as a dead node's; the
// underlay addresses 198.19.0.0/16 are nobody's. Threads: as asked.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>

#include "kernel/bpf_map.h"
#include "kernel/bpf_object.h"
#include "measure.h"
#include "net/address.h"

namespace weft {
namespace {

constexpr int block_addresses = 16;
constexpr int blocks_max = 4096 / block_addresses - 1;  // of a vSwitch; the last is for `change`
constexpr double wait_ms_max = 60'000;

std::string vpc_name(int vpc) { return fmt::format("vpc-s{}", vpc); }
std::string vswitch_name(int vpc) { return fmt::format("vsw-s{}", vpc); }
std::string ns_name(int vpc) { return fmt::format("ns-s{}", vpc); }
std::string node_name(int node) { return fmt::format("s{}", node); }

std::string block_address(int block, int offset = 0) {
    const int at = block * block_addresses + offset;
    return fmt::format("10.0.{}.{}", at / 256, at % 256);
}

kube::Object node_object(const std::string& name, int number) {
    kube::Object node = kube::Object::of(kube::nodes, {"", name});
    node.set_label("kubernetes.io/hostname", name);
    node.set_label("topology.kubernetes.io/zone", "cn-local-a");
    node.set({"status", "addresses"},
             json::Array{json::Object{{"type", "InternalIP"},
                                      {"address", fmt::format("198.19.{}.{}", number / 250, number % 250 + 1)}}});
    return node;
}

// A status is not taken with a new object.
Result<kube::Object> create_node(kube::Client& client, const std::string& name, int number) {
    kube::Object node = node_object(name, number);
    const json::Value status = *node.find({"status"});
    TRY(client.create(kube::nodes, node));
    return client.patch(kube::nodes, node.key(), kube::PatchType::merge, json::Object{{"status", status}}, "status");
}

kube::Object vpc_object(int vpc) {
    kube::Object object = kube::Object::of(kube::vpcs, {"", vpc_name(vpc)});
    object.set({"spec"}, json::Object{{"cidrBlock", "10.0.0.0/16"}, {"serviceCIDR", "172.21.0.0/18"}});
    return object;
}

kube::Object vswitch_object(int vpc) {
    kube::Object object = kube::Object::of(kube::vswitches, {"", vswitch_name(vpc)});
    object.set({"spec"},
               json::Object{{"vpc", vpc_name(vpc)}, {"zone", "cn-local-a"}, {"cidrBlock", "10.0.0.0/20"}});
    return object;
}

kube::Object block_object(int vpc, int block, const std::string& node) {
    std::string name = fmt::format("{}-{}", vswitch_name(vpc), block_address(block));
    std::replace(name.begin(), name.end(), '.', '-');
    kube::Object object = kube::Object::of(kube::address_blocks, {"", name});
    object.set({"spec"}, json::Object{{"vpc", vpc_name(vpc)},
                                      {"vSwitch", vswitch_name(vpc)},
                                      {"cidr", block_address(block) + "/28"},
                                      {"node", node}});
    return object;
}

kube::Object service_object(int vpc, int service) {
    kube::Object object = kube::Object::of(kube::services, {ns_name(vpc), fmt::format("web-{}", service)});
    object.set({"spec"}, json::Object{{"ports", json::Array{json::Object{
                                                    {"name", "http"}, {"port", 80}, {"targetPort", 8080}}}}});
    return object;
}

kube::Object slice_object(int vpc, int service, int endpoints, int nodes) {
    kube::Object object = kube::Object::of(kube::endpoint_slices, {ns_name(vpc), fmt::format("web-{}-x", service)});
    object.set_label("kubernetes.io/service-name", fmt::format("web-{}", service));
    object.set({"addressType"}, "IPv4");
    json::Array list;
    for (int i = 0; i < endpoints; ++i) {
        const int node = (service * endpoints + i) % nodes;
        list.push_back(json::Object{{"addresses", json::Array{json::Value(block_address(node, 4 + service % 10))}},
                                    {"conditions", json::Object{{"ready", true}}},
                                    {"nodeName", node_name(node)}});
    }
    object.set({"endpoints"}, std::move(list));
    object.set({"ports"}, json::Array{json::Object{{"name", "http"}, {"port", 8080}, {"protocol", "TCP"}}});
    return object;
}

bool make_all(const char* what, int count, int threads, const std::function<Result<kube::Object>(int)>& make_one) {
    std::atomic<int> next{0}, failed{0};
    const MonotonicTime start = system_clock().now();
    {
        std::vector<std::jthread> workers;
        for (int t = 0; t < threads; t++)
            workers.emplace_back([&] {
                for (int i; (i = next++) < count;) {
                    const auto made = make_one(i);
                    if (!made && failed++ == 0) fmt::print(stderr, "create {}: {}\n", what, made.error().message);
                }
            });
    }
    fmt::print("make-{} {} objects\nmake-{}-seconds {:.2f} s\n", what, count, what, ms_since(start) / 1000);
    std::fflush(stdout);
    return failed == 0;
}

bool wait_for_numbers(kube::Client& client) {
    for (const MonotonicTime start = system_clock().now(); ms_since(start) < wait_ms_max;) {
        const kube::ObjectList vpcs = MUST(client.list(kube::vpcs));
        if (std::all_of(vpcs.items.begin(), vpcs.items.end(),
                        [](const kube::Object& vpc) { return vpc.integer({"status", "vni"}) != 0; })) {
            fmt::print("vpcs-numbered-seconds {:.2f} s\n", ms_since(start) / 1000);
            return true;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return fmt::print(stderr, "VPCs without a number after {} s\n", wait_ms_max / 1000), false;
}

int make(const Instance& instance, int nodes, int vpcs, int services, int endpoints, int threads) {
    if (nodes > blocks_max) return fmt::print(stderr, "at most {} nodes\n", blocks_max), 2;
    const auto client = connect(instance);
    const auto create = [&](const kube::Resource& resource, const kube::Object& object) {
        return client->create(resource, object);
    };
    const auto ns_object = [](int i) {
        kube::Object ns = kube::Object::of(kube::namespaces, {"", ns_name(i)});
        ns.set_annotation("weft.dev/vpc", vpc_name(i));
        return ns;
    };
    bool all = make_all("vpcs", vpcs, threads, [&](int i) { return create(kube::vpcs, vpc_object(i)); });
    all &= make_all("vswitches", vpcs, threads, [&](int i) { return create(kube::vswitches, vswitch_object(i)); });
    all &= make_all("namespaces", vpcs, threads, [&](int i) { return create(kube::namespaces, ns_object(i)); });
    all &= wait_for_numbers(*client);
    all &= make_all("nodes", nodes, threads, [&](int i) { return create_node(*client, node_name(i), i); });
    all &= make_all("blocks", nodes * vpcs, threads, [&](int i) {
        return create(kube::address_blocks, block_object(i % vpcs, i / vpcs, node_name(i / vpcs)));
    });
    all &= make_all("services", services * vpcs, threads,
                    [&](int i) { return create(kube::services, service_object(i % vpcs, i / vpcs)); });
    all &= make_all("slices", services * vpcs, threads, [&](int i) {
        return create(kube::endpoint_slices, slice_object(i % vpcs, i / vpcs, endpoints, nodes));
    });
    return all ? 0 : 1;
}

// Until `holds`; the time since the API's reply.
double time_to(const char* what, const std::function<bool()>& holds) {
    const MonotonicTime replied = system_clock().now();
    while (!holds()) {
        if (ms_since(replied) > wait_ms_max) {
            fmt::print(stderr, "change: {} never came into the map\n", what);
            std::exit(1);
        }
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return ms_since(replied);
}

int change(const Instance& instance, const std::string& node, int count) {
    const auto client = connect(instance);
    const kernel::NodeMaps maps = MUST(kernel::open_pinned_maps(instance.bpf_dir(node)));
    if (!client->get(kube::vpcs, {"", vpc_name(0)}))  // without the others
        if (make(instance, 1, 1, 1, 1, 1) != 0) return 1;
    const auto vni = uint32_t(MUST(client->get(kube::vpcs, {"", vpc_name(0)})).integer({"status", "vni"}));
    const kube::ObjectKey key{ns_name(0), "web-0"};
    abi::frontend_key row{};
    row.vpc = vni;
    row.address = abi::to_abi(MUST(net::Address::parse(MUST(client->get(kube::services, key)).string({"spec", "clusterIP"}))));
    row.protocol = 6;
    std::vector<double> services, blocks, blocks_gone, nodes, nodes_gone;
    for (int i = 0; i < count; ++i) {
        const auto port = uint16_t(2000 + i);
        MUST(client->patch(kube::services, key, kube::PatchType::merge,
                           json::Object{{"spec", json::Object{{"ports", json::Array{json::Object{
                                                                             {"name", "http"}, {"port", port}, {"targetPort", 8080}}}}}}}));
        row.port = abi::to_abi_port(port);
        services.push_back(time_to("a port", [&] { return MUST(maps.frontends->lookup(row)).has_value(); }));

        const auto there = [&](uint32_t vpc, const std::string& prefix) {
            return MUST(maps.locations->lookup(abi::location_key_of(vpc, MUST(net::Prefix::parse(prefix))))).has_value();
        };
        const kube::Object block = block_object(0, blocks_max, node_name(0));
        MUST(client->create(kube::address_blocks, block));
        blocks.push_back(time_to("a block", [&] { return there(vni, block_address(blocks_max) + "/28"); }));
        MUST(client->remove(kube::address_blocks, block.key()));
        blocks_gone.push_back(time_to("a block's end", [&] { return !there(vni, block_address(blocks_max) + "/28"); }));

        MUST(create_node(*client, "guest", 999));
        nodes.push_back(time_to("a node", [&] { return there(VPC_OUTSIDE, "198.19.3.250/32"); }));
        MUST(client->remove(kube::nodes, {"", "guest"}));
        nodes_gone.push_back(time_to("a node's end", [&] { return !there(VPC_OUTSIDE, "198.19.3.250/32"); }));
    }
    print_latency("service", services);
    print_latency("block", blocks);
    print_latency("block-gone", blocks_gone);
    print_latency("node", nodes);
    print_latency("node-gone", nodes_gone);
    return 0;
}

int usage() { return fmt::print(stderr, "scalebench: see the head of bench/tool/scalebench.cpp\n"), 2; }

int run(const std::vector<std::string>& words) {
    const auto number = [&](size_t i) { return i < words.size() ? int(parse_unsigned(words[i]).value_or(0)) : 0; };
    if (words.size() < 3 || words[0] != "--instance") return usage();
    const auto instance = Instance::parse(words[1]);
    if (!instance) return usage();
    if (words[2] == "make" && words.size() == 8 && number(3) > 0 && number(4) > 0 && number(7) > 0)
        return make(*instance, number(3), number(4), number(5), number(6), number(7));
    if (words[2] == "change" && words.size() == 5 && number(4) > 0) return change(*instance, words[3], number(4));
    return usage();
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) { return weft::run({argv + 1, argv + argc}); }
