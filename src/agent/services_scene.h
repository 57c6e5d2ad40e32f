// ServicesScene: Services over maps that are not the kernel's, fed by an API in a map: one Service `web` of VPC 7 with
// three endpoints, on node n1. For the tests of this room.
#pragma once
#include <gtest/gtest.h>

#include "agent/host_ports.h"
#include "agent/services.h"
#include "kernel/bpf_map_fake.h"
#include "kube/fake_client.h"

namespace weft::agent {

using Backends = std::vector<abi::backend>;

inline net::Address ip(std::string_view text) {
    return MUST(net::Address::parse(text));
}

inline abi::backend backend(std::string_view address, uint16_t port = 8080, uint32_t vpc = 7) {
    return {vpc, abi::to_abi(ip(address)), abi::to_abi_port(port), 6, 0};
}

inline kube::Object object(std::string_view yaml) {
    return kube::Object(MUST(json::parse_yaml(yaml)).at(0));
}

inline std::vector<kube::ObjectPtr> slice(std::string_view endpoints,
                                          std::string_view ports = "[{name: http, port: 8080}]") {
    return {std::make_shared<kube::Object>(
        object("addressType: IPv4\nports: " + std::string(ports) + "\nendpoints: " + std::string(endpoints)))};
}

inline cloud::Vpc vpc(uint32_t vni = 7) {
    cloud::Vpc vpc;
    vpc.name = "vpc-a";
    vpc.vni = vni;
    vpc.service_cidr = MUST(net::Prefix::parse("172.21.0.0/20"));
    return vpc;
}

// The whole path from objects to rows, over maps in memory.
class ServicesScene : public ::testing::Test {
protected:
    ServicesScene() {
        api.seed(R"(
apiVersion: weft.dev/v1
kind: VPC
metadata: {name: vpc-a}
spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20, default: true}
status: {vni: 7}
---
apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 172.21.0.20, clusterIPs: [172.21.0.20], ports: [{name: http, port: 80}]}
)");
        set_endpoints("[{addresses: [10.0.1.1]}, {addresses: [10.0.1.2]}, {addresses: [10.0.1.3]}]");
        restart();
    }

    void set_endpoints(const std::string& endpoints) {
        const kube::ObjectKey key{"default", "web-1"};
        (void)api.remove(kube::endpoint_slices, key);
        api.seed(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, namespace: default, labels: "
            "{kubernetes.io/service-name: web}}\naddressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: " +
            endpoints);
    }

    // A new agent over the same maps.
    void restart() {
        brain = kube::Brain::create(api);
        view = std::make_unique<View>(*brain, "n1");
        tables = std::make_unique<Tables>(maps);
        MUST(tables->load());
        auto& queue =
            brain->add_reconciler("services", [this](const kube::ObjectKey& key) { return services->reconcile(key); });
        services = std::make_unique<Services>(*view, *tables, std::vector{ip("198.18.1.1")},
                                              [&queue](const kube::ObjectKey& key) { queue.add(key); });
        brain->on_synced([this] { EXPECT_TRUE(services->adopt().has_value()); });
        brain->on_change(view->services, [&queue](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
            queue.add((after ? after : before)->key());
        });
        brain->on_change(view->pods, [&queue](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
            queue.add(host_port_key((after ? after : before)->key()));
        });
        brain->on_change(view->slices,
                         [&queue](const kube::ObjectPtr&, const kube::ObjectPtr&) { queue.add({"default", "web"}); });
        brain->run_until_idle();
    }

    abi::frontend row() const {
        return *tables->frontends.find(abi::frontend_key_of(7, ip("172.21.0.20"), 80, net::Protocol::tcp));
    }

    std::map<std::string, uint32_t> ids() const {
        std::map<std::string, uint32_t> ids;
        for (uint32_t slot = 0; slot < row().slots; ++slot) {
            const uint32_t* id = tables->slots.find({row().service, slot});
            const abi::backend* backend = id ? tables->backends.find(*id) : nullptr;
            ids[backend ? abi::from_abi(backend->address).text() : "missing"] = id ? *id : 0;
        }
        return ids;
    }

    FakeClock clock;
    kube::FakeClient api{clock};
    kernel::NodeMaps maps = kernel::fake_node_maps();
    std::unique_ptr<kube::Brain> brain;
    std::unique_ptr<View> view;
    std::unique_ptr<Tables> tables;
    std::unique_ptr<Services> services;
};

}  // namespace weft::agent
