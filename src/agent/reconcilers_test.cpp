// Which change makes whom look again: with a hundred VPCs and thousands of Services nobody may look at all of them.
#include "agent/reconcilers.h"

#include <unistd.h>

#include "agent/sim_node.h"
#include "base/metrics.h"
#include "kernel/bpf_map_fake.h"
#include "kube/fake_client.h"

namespace weft::agent {
namespace {

constexpr int vpcs = 3, services_each = 5;

std::string world() {
    std::string yaml = R"(
apiVersion: v1
kind: Node
metadata: {name: n1, annotations: {weft.dev/service-address: 100.64.0.2, weft.dev/host-address: 100.64.0.3}}
)";
    for (int vpc = 0; vpc < vpcs; ++vpc) {
        yaml += fmt::format(R"(---
apiVersion: weft.dev/v1
kind: VPC
metadata: {{name: v{0}}}
spec: {{cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20, default: {1}}}
status: {{vni: {2}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: ns{0}, annotations: {{{3}}}}}
)",
                            vpc, vpc == 0, vpc + 7, vpc == 0 ? "" : fmt::format("weft.dev/vpc: v{}", vpc));
        for (int service = 0; service < services_each; ++service)
            yaml += fmt::format(R"(---
apiVersion: v1
kind: Service
metadata: {{name: s{1}, namespace: ns{0}}}
spec: {{clusterIP: 172.21.0.{2}, clusterIPs: [172.21.0.{2}], ports: [{{name: http, port: 80}}]}}
)",
                                vpc, service, 20 + service);
    }
    return yaml;
}

struct LooksOfAnAgent : testing::Test {
    LooksOfAnAgent() { api.seed(world()); }
    ~LooksOfAnAgent() override { ::unlink(path.c_str()); }

    static uint64_t done(const char* reconciler) {
        return metrics::counter("weft_reconcile_total", {{"reconciler", reconciler}, {"outcome", "done"}}).value();
    }

    // Of this reconciler, by what `change` does.
    uint64_t looks(const char* reconciler, const std::function<void()>& change) {
        brain->run_until_idle();
        const uint64_t before = done(reconciler);
        change();
        brain->run_until_idle();
        return done(reconciler) - before;
    }

    void put(const kube::Resource& resource, const std::string& name, json::Path path, json::Value value) {
        kube::Object object = MUST(api.get(resource, {"", name}));
        object.set(path, std::move(value));
        if (std::string_view(*path.begin()) == "status") MUST(api.update_status(resource, object));
        else MUST(api.update(resource, object));
    }

    FakeClock clock;
    kube::FakeClient api{clock};
    std::string path = "/tmp/weft-reconcilers-test-" + std::to_string(::getpid()) + ".log";
    Instance instance = *Instance::parse("nowhere");
    Uplink uplink{.ifindex = 2, .address = net::Address::v4(198, 18, 1, 1), .mac = {}, .mtu = 1500};
    kernel::NodeMaps maps = kernel::fake_node_maps();
    Tables tables{maps};
    AllocationLog log = *AllocationLog::open(path, "boot");
    sim::Fate fate;
    std::map<std::string, sim::FakeLink> links;
    sim::FakeWiring wiring{fate, links};
    std::unique_ptr<kube::Brain> brain = kube::Brain::create(api, clock);
    Reconcilers reconcilers{*brain, instance, "n1", uplink, tables, log, wiring};
};

TEST_F(LooksOfAnAgent, a_start_plans_every_service_once) {
    EXPECT_EQ(looks("services", [] {}), 0u);
    EXPECT_TRUE(reconcilers.is_ready());
    // An address and a port of each.
    EXPECT_EQ(tables.frontends.rows().size(), size_t(2 * vpcs * services_each));
}

TEST_F(LooksOfAnAgent, a_vpc_concerns_the_services_of_its_namespaces) {
    const auto widen = [this](const std::string& vpc) {
        put(kube::vpcs, vpc, {"spec", "secondaryCidrBlocks"}, json::Array{json::Value("192.168.0.0/16")});
    };
    EXPECT_EQ(looks("services", [&] { widen("v1"); }), uint64_t(services_each + 1)) << "and kubernetes";
    EXPECT_EQ(looks("services", [&] { widen("v0"); }), uint64_t(services_each + 1)) << "namespaces that name none";
    EXPECT_EQ(looks("services", [&] { put(kube::vpcs, "v2", {"status", "vSwitchCount"}, 4); }), 0u);
}

TEST_F(LooksOfAnAgent, a_vpc_made_anew_in_one_go_leaves_nothing_of_its_old_number) {
    const auto service_endpoint = [this](uint32_t vni) { return find_endpoint(tables, abi::ENDPOINT_SERVICE, vni); };
    const auto anew = [this](const std::string& name, int vni) {
        MUST(api.remove(kube::vpcs, {"", name}));
        api.seed(fmt::format("{{apiVersion: weft.dev/v1, kind: VPC, metadata: {{name: {}}}, spec: {{cidrBlock: 10.0.0.0/16, "
                             "serviceCIDR: 172.21.0.0/20}}, status: {{vni: {}}}}}",
                             name, vni));
    };
    brain->run_until_idle();
    ASSERT_NE(service_endpoint(8), 0u);
    anew("v1", 20);
    brain->run_until_idle();
    EXPECT_EQ(service_endpoint(8), 0u);
    EXPECT_NE(service_endpoint(20), 0u);
    // The number may be another's by then.
    anew("v1", 21);
    anew("v2", 20);
    brain->run_until_idle();
    EXPECT_EQ(service_endpoint(9), 0u);
    EXPECT_NE(service_endpoint(20), 0u);
    EXPECT_NE(service_endpoint(21), 0u);
}

TEST_F(LooksOfAnAgent, a_nodes_heartbeat_concerns_nobody_and_its_addresses_every_vpc) {
    const auto beat = [this] { put(kube::nodes, "n1", {"status", "phase"}, "Running"); };
    EXPECT_EQ(looks("vpcs", beat), 0u);
    EXPECT_EQ(looks("vpcs",
                    [this] {
                        put(kube::nodes, "n1", {"metadata", "annotations", "weft.dev/service-address"}, "100.64.0.6");
                    }),
              uint64_t(vpcs));
}

}  // namespace
}  // namespace weft::agent
