#include "cli/ipam_check.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weft::cli {
namespace {

using agent::Allocation;
using kube::Object;

Object yaml(std::string_view text) {
    return Object(MUST(json::parse_yaml(text)).front());
}

Allocation allocation(std::string_view address, std::string pod, std::string block, uint64_t at = 1) {
    Allocation a;
    a.key = {pod + "-container", "eth0"};
    a.confirmed = true;
    a.pod_namespace = "default";
    a.pod_name = pod;
    a.pod_uid = "uid-" + pod;
    a.vpc = "vpc-a";
    a.vswitch = "vsw-a";
    a.block = std::move(block);
    a.vni = 7;
    a.address = MUST(net::Address::parse(address));
    a.reserved_ms = at;
    return a;
}

Object pod(const std::string& name, const std::string& node, const std::string& address, bool owned = false) {
    return yaml(fmt::format(
        "{{metadata: {{name: {}, namespace: default, uid: uid-{}{}}}, spec: {{nodeName: {}}}, status: "
        "{{podIP: {}, phase: Running}}}}",
        name, name, owned ? ", ownerReferences: [{kind: ReplicaSet, name: r, uid: r, controller: true}]" : "", node,
        address));
}

Object block(const std::string& name, const std::string& cidr, const std::string& node,
             const std::vector<std::pair<std::string, std::string>>& given = {}) {
    Object object = yaml(fmt::format(
        "{{metadata: {{name: {}}}, spec: {{vpc: vpc-a, vSwitch: vsw-a, cidr: {}, node: {}}}}}", name, cidr, node));
    json::Array allocations;
    for (const auto& [address, who] : given)
        allocations.push_back(json::Object{{"address", address}, {"uid", "uid-" + who}});
    object.set({"status", "allocations"}, std::move(allocations));
    return object;
}

// Two nodes, a pod on each, and all is well.
IpamFacts good() {
    IpamFacts facts;
    facts.vpcs = {yaml("{metadata: {name: vpc-a}, status: {vni: 7}}")};
    facts.vswitches = {
        yaml("{metadata: {name: vsw-a}, spec: {vpc: vpc-a, zone: z, cidrBlock: 10.0.1.0/24}, status: "
             "{availableIPCount: 250}}")};
    facts.nodes = {yaml("{metadata: {name: n1}}"), yaml("{metadata: {name: n2}}")};
    facts.blocks = {block("vsw-a-10-0-1-0", "10.0.1.0/28", "n1", {{"10.0.1.1", "a"}}),
                    block("vsw-a-10-0-1-16", "10.0.1.16/28", "n2", {{"10.0.1.16", "b"}})};
    facts.pods = {pod("a", "n1", "10.0.1.1"), pod("b", "n2", "10.0.1.16", true)};
    facts.by_node["n1"].log = {allocation("10.0.1.1", "a", "vsw-a-10-0-1-0")};
    facts.by_node["n1"].doors = {{7, MUST(net::Address::parse("10.0.1.1"))}};
    facts.by_node["n2"].log = {allocation("10.0.1.16", "b", "vsw-a-10-0-1-16", 2)};
    facts.by_node["n2"].doors = {{7, MUST(net::Address::parse("10.0.1.16"))}};
    return facts;
}

std::string said(const IpamFacts& facts) {
    std::string text;
    for (const AddressFinding& finding : check_addresses(facts))
        text += fmt::format("{} {} {}: {}{}\n", finding.kind, finding.subject, finding.node, finding.what,
                            finding.repair == AddressFinding::Repair::none ? "" : " (can be mended)");
    return text;
}

TEST(IpamCheck, a_world_in_order_has_no_findings) {
    EXPECT_EQ(said(good()), "");
    IpamFacts split = good();
    split.blocks[0].set({"spec", "withheld"}, json::Array{"10.0.1.9"});
    split.blocks.push_back(block("vsw-a-10-0-1-9-32", "10.0.1.9/32", "n2"));
    EXPECT_EQ(said(split), "") << "a split block is in order";
}

TEST(IpamCheck, a_block_that_somebody_deleted_is_made_again) {
    IpamFacts facts = good();
    facts.blocks.erase(facts.blocks.begin());
    facts.vswitches[0].set({"status", "availableIPCount"}, 251);
    EXPECT_EQ(said(facts),
              "orphan 10.0.1.1 n1: pod default/a uses it, and no AddressBlock lends it to the node; another pod may be "
              "given it (can be mended)\n");
    auto lease = missing_lease(facts.by_node["n1"].log[0], "n1", facts);
    ASSERT_TRUE(lease);
    EXPECT_EQ(lease->name, "vsw-a-10-0-1-0");
    EXPECT_EQ(lease->withhold_in, "");
    // Meanwhile the controller has lent it to the other node.
    facts.blocks.push_back(block("vsw-a-10-0-1-0", "10.0.1.0/28", "n2"));
    lease = missing_lease(facts.by_node["n1"].log[0], "n1", facts);
    ASSERT_TRUE(lease);
    EXPECT_EQ(lease->cidr.text(), "10.0.1.1/32");
    EXPECT_EQ(lease->withhold_in, "vsw-a-10-0-1-0");
    // ... which has given it to a pod.
    facts.by_node["n2"].log.push_back(allocation("10.0.1.1", "c", "vsw-a-10-0-1-0", 9));
    EXPECT_FALSE(missing_lease(facts.by_node["n1"].log[0], "n1", facts));
}

TEST(IpamCheck, what_nobody_uses_any_more_is_a_leak) {
    IpamFacts facts = good();
    facts.pods.erase(facts.pods.begin());
    EXPECT_EQ(said(facts), "leak 10.0.1.1 n1: pod default/a, uid uid-a, does not exist any more (can be mended)\n");
}

TEST(IpamCheck, a_pod_with_an_address_that_its_agent_did_not_give_is_an_orphan) {
    IpamFacts facts = good();
    facts.pods.push_back(pod("strange", "n1", "10.0.1.8", true));
    facts.pods.push_back(pod("bare", "n1", "10.0.1.9"));
    EXPECT_EQ(said(facts),
              "orphan 10.0.1.8 n1: pod default/strange shows it, and the node's agent did not give it (can be "
              "mended)\norphan 10.0.1.9 n1: pod default/bare shows it, and the node's agent did not give it\n");
}

TEST(IpamCheck, two_users_of_one_address_are_a_double_and_the_younger_goes) {
    IpamFacts facts = good();
    facts.pods[1] = pod("b", "n2", "10.0.1.1", true);
    facts.by_node["n2"].log = {allocation("10.0.1.1", "b", "vsw-a-10-0-1-16", 5)};
    facts.by_node["n2"].doors = {{7, MUST(net::Address::parse("10.0.1.1"))}};
    const std::string text = said(facts);
    EXPECT_NE(text.find("double 10.0.1.1 n2: pods default/a on n1 and default/b on n2 both use it (can be mended)"),
              text.npos)
        << text;
}

TEST(IpamCheck, blocks_that_overlap_kernels_that_differ_and_counts_that_lie_are_named) {
    IpamFacts facts = good();
    facts.blocks.push_back(block("vsw-a-10-0-1-5-32", "10.0.1.5/32", "n2"));
    facts.by_node["n1"].doors = {{7, MUST(net::Address::parse("10.0.1.7"))}};
    facts.vswitches[0].set({"status", "availableIPCount"}, 17);
    facts.by_node["n2"].problem = "no such file";
    const std::string text = said(facts);
    for (const char* line :
         {"double 10.0.1.5/32 n2: blocks vsw-a-10-0-1-5-32 and vsw-a-10-0-1-0 hold the same addresses",
          "stale 10.0.1.1 n1: the data plane has no endpoint for it", "leak 10.0.1.7 n1: the data plane",
          "stale vsw-a : it says 17 of 252 addresses are available; 2 are in use or kept",
          "stale n2 n2: the node's agent cannot be asked: no such file"})
        EXPECT_NE(text.find(line), text.npos) << line << "\nin\n" << text;
}

TEST(IpamCheck, records_that_keep_one_address_twice_or_nowhere_are_named) {
    const auto eni = [](const std::string& name, const std::string& vswitch, const std::string& phase) {
        return yaml(
            fmt::format("{{metadata: {{name: {}, namespace: default}}, spec: {{allocations: [{{ipv4: 10.0.1.99, eni: "
                        "{{vSwitchID: {}}}, allocationType: {{type: Fixed}}}}]}}, status: {{phase: {}}}}}",
                        name, vswitch, phase));
    };
    IpamFacts facts = good();
    facts.vswitches[0].set({"status", "availableIPCount"}, 249);
    facts.pod_enis = {eni("x", "vsw-a", "Bind"), eni("y", "vsw-a", "Unbind"), eni("z", "vsw-gone", "Unbind")};
    EXPECT_EQ(said(facts),
              "double 10.0.1.99 : PodENIs default/x and default/y both keep it (can be mended)\n"
              "leak 10.0.1.99 : PodENI default/z keeps it in vSwitch vsw-gone, which does not exist (can be mended)\n");
}

TEST(IpamCheck, a_record_that_is_bound_to_a_pod_with_another_address_is_named) {
    IpamFacts facts = good();
    facts.vswitches[0].set({"status", "availableIPCount"}, 249);
    const auto eni = [](std::string_view phase) {
        return yaml(fmt::format("{{metadata: {{name: a, namespace: default}}, spec: {{allocations: [{{ipv4: 10.0.1.99, "
                                "eni: {{vSwitchID: vsw-a}}, allocationType: {{type: Fixed}}}}]}}, status: {{phase: {}}}}}",
                                phase));
    };
    facts.pod_enis = {eni("Bind")};
    EXPECT_EQ(said(facts),
              "stale 10.0.1.99 : PodENI default/a says that its pod has it, and the pod has 10.0.1.1\n");
    facts.pod_enis = {eni("Unbind")};
    EXPECT_EQ(said(facts), "") << "kept for the next one of the name";
}

TEST(IpamCheck, an_address_is_kept_for_a_pod_that_is_bound_in_the_vswitchs_vpc) {
    IpamFacts facts = good();
    facts.vpcs = {yaml("{metadata: {name: vpc-a}, spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20}, status: "
                       "{vni: 7}}"),
                  yaml("{metadata: {name: vpc-blue}, spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20}}")};
    facts.namespaces = {yaml("{metadata: {name: default, annotations: {weft.dev/vpc: vpc-a}}}"),
                        yaml("{metadata: {name: blue, annotations: {weft.dev/vpc: vpc-blue}}}")};
    const auto with_wish = [](std::string_view ns, std::string_view name, std::string_view address,
                              std::string_view spec) {
        return yaml(fmt::format("{{metadata: {{name: {}, namespace: {}, uid: uid-{}, annotations: {{weft.dev/vswitch: "
                                "vsw-a, weft.dev/address: {}}}}}, spec: {{{}}}}}",
                                name, ns, name, address, spec));
    };
    facts.pods.push_back(with_wish("blue", "thief", "10.0.1.70", "nodeName: n1"));
    facts.pods.push_back(with_wish("default", "dreamer", "10.0.1.71", "containers: []"));
    facts.pods.push_back(with_wish("default", "edge", "10.0.1.0", "nodeName: n1"));
    EXPECT_EQ(said(facts), "");
    facts.pods.push_back(with_wish("default", "vip", "10.0.1.72", "nodeName: n1"));
    EXPECT_EQ(said(facts), "stale vsw-a : it says 250 of 252 addresses are available; 3 are in use or kept\n");
}

}  // namespace
}  // namespace weft::cli
