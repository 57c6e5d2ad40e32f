#include "cloud/pod_network.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weft::cloud {
namespace {

json::Value yaml(std::string_view text) {
    auto documents = MUST(json::parse_yaml(text));
    ENSURE(documents.size() == 1);
    return documents[0];
}

json::Value vpc_object(std::string_view spec) {
    return yaml(fmt::format("{{metadata: {{name: v}}, spec: {{{}}}}}", spec));
}

TEST(Vpc, a_block_that_breaks_a_rule_is_refused_with_its_field) {
    struct Row {
        std::string_view spec, error;
    };
    const Row rows[] = {
        {"cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20", ""},
        {"cidrBlock: 10.0.0.0/16", ""},
        {"serviceCIDR: 172.21.0.0/20", "spec.cidrBlock: Required value"},
        {"cidrBlock: 10.0.0.1/16", "spec.cidrBlock: "},
        {"cidrBlock: 10.0.0.0/7", "spec.cidrBlock: "},
        {"cidrBlock: 10.0.0.0/29", "spec.cidrBlock: 10.0.0.0/29: the mask must be between /8 and /28"},
        {"cidrBlock: 100.64.0.0/16", "spec.cidrBlock: 100.64.0.0/16: overlaps 100.64.0.0/10, which is reserved"},
        {"cidrBlock: 169.254.0.0/16", "spec.cidrBlock: 169.254.0.0/16: overlaps"},
        {"cidrBlock: \"fd00::/64\"", "spec.cidrBlock: fd00::/64: only IPv4"},
        {"cidrBlock: 10.0.0.0/16, secondaryCidrBlocks: [10.1.0.0/16, 10.0.128.0/17]",
         "spec.secondaryCidrBlocks[1]: 10.0.128.0/17: overlaps 10.0.0.0/16"},
        {"cidrBlock: 10.0.0.0/16, serviceCIDR: 10.0.4.0/24", "spec.serviceCIDR: 10.0.4.0/24: overlaps 10.0.0.0/16"},
        {"cidrBlock: 10.0.0.0/16, vni: 0", "spec.vni: 0: must be between"},
        {"cidrBlock: 10.0.0.0/16, vni: 16777216", "spec.vni: 16777216: must be between"},
    };
    for (const Row& row : rows) {
        const auto vpc = parse_vpc(vpc_object(row.spec));
        if (row.error.empty()) {
            EXPECT_TRUE(vpc.has_value()) << row.spec << ": " << vpc.error().message;
        } else {
            ASSERT_FALSE(vpc.has_value()) << row.spec;
            EXPECT_TRUE(vpc.error().message.starts_with(row.error)) << vpc.error().message;
        }
    }
}

TEST(Vpc, the_reserved_service_addresses_are_one_and_ten) {
    const Vpc vpc = MUST(parse_vpc(vpc_object("cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20")));
    EXPECT_EQ(kubernetes_address(vpc).text(), "172.21.0.1");
    EXPECT_EQ(dns_address(vpc).text(), "172.21.0.10");
    EXPECT_TRUE(is_reserved_service_address(vpc, net::Address::v4(172, 21, 0, 10)));
    EXPECT_FALSE(is_reserved_service_address(vpc, net::Address::v4(172, 21, 0, 2)));
}

TEST(Vpc, its_number_and_its_blocks_in_effect_are_what_the_controller_accepted) {
    const Vpc wish = MUST(parse_vpc(yaml("{metadata: {name: v}, spec: {cidrBlock: 10.0.0.0/16, vni: 7}}")));
    EXPECT_EQ(wish.wanted_vni, 7u);
    EXPECT_EQ(wish.vni, 0u) << "another VPC may have it";
    EXPECT_EQ(wish.blocks, wish.wanted_blocks);
    const Vpc grown = MUST(parse_vpc(yaml("{metadata: {name: v}, spec: {cidrBlock: 10.0.0.0/12, vni: 7}, "
                                          "status: {vni: 7, cidrBlocks: [10.0.0.0/16, 192.168.0.0/24]}}")));
    EXPECT_EQ(grown.vni, 7u);
    ASSERT_EQ(grown.blocks.size(), 2u);
    EXPECT_EQ(grown.blocks[0].text(), "10.0.0.0/16");
    EXPECT_EQ(grown.wanted_blocks[0].text(), "10.0.0.0/12");
}

VSwitch vswitch(std::string name, std::string_view cidr, std::string vpc = "v", std::string created = "2026-01-01") {
    return {std::move(name), std::move(created), std::move(vpc), "zone-a", MUST(net::Prefix::parse(cidr))};
}

TEST(VSwitch, it_lies_in_its_vpc_and_overlaps_no_older_one) {
    const Vpc vpc = MUST(parse_vpc(vpc_object("cidrBlock: 10.0.0.0/16")));
    const std::vector<VSwitch> others = {vswitch("old", "10.0.1.0/24"), vswitch("elsewhere", "10.0.2.0/24", "w"),
                                         vswitch("young", "10.0.3.0/24", "v", "2027-01-01")};
    EXPECT_TRUE(check_vswitch(vswitch("n", "10.0.2.0/24"), &vpc, others));
    EXPECT_TRUE(check_vswitch(vswitch("n", "10.0.3.0/24"), &vpc, others));
    EXPECT_EQ(check_vswitch(vswitch("z", "10.0.1.128/25"), &vpc, others).error().code, Code::conflict);
    EXPECT_EQ(check_vswitch(vswitch("n", "10.1.0.0/24"), &vpc, others).error().code, Code::invalid);
    EXPECT_EQ(check_vswitch(vswitch("n", "10.1.0.0/24"), nullptr, others).error().code, Code::not_found);
}

TEST(VSwitch, its_first_and_last_three_addresses_are_kept_back) {
    const AddressRange tiny = usable_addresses(vswitch("t", "10.0.9.0/29"));
    EXPECT_EQ(tiny.count, 4u);
    EXPECT_EQ(tiny.first.text(), "10.0.9.1");
    EXPECT_EQ(tiny.last().text(), "10.0.9.4");
    EXPECT_EQ(usable_addresses(vswitch("t", "10.0.1.0/24")).count, 252u);
    const net::Prefix cidr = MUST(net::Prefix::parse("10.0.1.0/24"));
    EXPECT_EQ(usable_addresses(cidr, MUST(net::Prefix::parse("10.0.1.0/28"))).count, 15u);
    EXPECT_EQ(usable_addresses(cidr, MUST(net::Prefix::parse("10.0.1.16/28"))).count, 16u);
    EXPECT_EQ(usable_addresses(cidr, MUST(net::Prefix::parse("10.0.1.240/28"))).count, 13u);
    EXPECT_EQ(usable_addresses(cidr, MUST(net::Prefix::parse("10.0.2.0/28"))).count, 0u);
}

TEST(PodNetwork, a_namespace_without_annotation_belongs_to_the_oldest_default_vpc) {
    Vpc a{.name = "a", .uid = {}, .created = "2026-02", .blocks = {}, .service_cidr = {}, .is_default = true};
    Vpc b = a;
    b.name = "b";
    b.created = "2026-01";
    Vpc c = a;
    c.name = "c";
    c.is_default = false;
    const std::vector<Vpc> vpcs = {a, b, c};
    EXPECT_EQ(MUST(vpc_of_namespace(yaml("metadata: {name: n}"), vpcs)).name, "b");
    EXPECT_EQ(MUST(vpc_of_namespace(yaml("metadata: {name: n, annotations: {weft.dev/vpc: c}}"), vpcs)).name, "c");
    EXPECT_EQ(vpc_of_namespace(yaml("metadata: {name: n, annotations: {weft.dev/vpc: d}}"), vpcs).error().message,
              "namespace n: metadata.annotations[weft.dev/vpc]: VPC d does not exist");
    EXPECT_EQ(vpc_of_namespace(yaml("metadata: {name: n}"), {}).error().code, Code::not_found);
    EXPECT_EQ(dns_name_of_namespace(yaml("metadata: {name: n, annotations: {weft.dev/dns-namespace: default}}")),
              "default");
}

TEST(PodNetwork, a_pods_vswitches_come_from_annotation_then_profile_then_the_vpc) {
    const Vpc vpc{.name = "v", .uid = {}, .created = {}, .blocks = {}, .service_cidr = {}};
    const std::vector<VSwitch> all = {vswitch("c", "10.0.3.0/24"), vswitch("a", "10.0.1.0/24"),
                                      vswitch("b", "10.0.2.0/24"), vswitch("other", "10.0.1.0/24", "w")};
    const json::Value profile = yaml("data: {vSwitchIds: \"other, b,a\"}");
    const json::Value foreign = yaml("data: {vSwitchIds: \"other\"}");
    const auto names = [&](std::string_view pod, const json::Value* acs_profile) {
        std::string text;
        const auto chosen = vswitches_of_pod(yaml(pod), vpc, all, acs_profile);
        if (!chosen) return std::string(chosen.error().reason) + ": " + chosen.error().message;
        for (const VSwitch& v : *chosen) text += v.name + " ";
        return text;
    };
    const std::string field = "metadata.annotations[network.alibabacloud.com/vswitch-ids]: ";
    EXPECT_EQ(names("metadata: {name: p}", nullptr), "a b c ");
    EXPECT_EQ(names("metadata: {name: p}", &profile), "b a ");
    EXPECT_EQ(names("metadata: {name: p}", &foreign), "a b c ");
    EXPECT_EQ(names("metadata: {annotations: {network.alibabacloud.com/vswitch-ids: \"c, a\"}}", &profile), "c a ");
    EXPECT_EQ(names("metadata: {annotations: {network.alibabacloud.com/vswitch-ids: \"c,none\"}}", &profile),
              "VSwitchNotFound: " + field + "vSwitch none does not exist");
    EXPECT_EQ(names("metadata: {annotations: {network.alibabacloud.com/vswitch-ids: \"other\"}}", &profile),
              "VPCMismatch: " + field + "vSwitch other belongs to VPC w, the pod to VPC v");
    EXPECT_EQ(names("metadata: {annotations: {network.alibabacloud.com/vswitch-ids: \" , \"}}", &profile),
              "VSwitchNotFound: " + field + "names no vSwitch");
}

TEST(PodNetwork, a_nodes_neighbours_are_an_even_and_an_odd_address) {
    EXPECT_EQ(neighbours_of_node(1).service.text(), "100.64.0.2");
    EXPECT_EQ(neighbours_of_node(1).host.text(), "100.64.0.3");
    for (const uint32_t number : {0u, 1u, 300u, node_numbers_max - 1}) {
        EXPECT_EQ(node_number(neighbours_of_node(number).service), number);
        EXPECT_TRUE(is_neighbour_address(neighbours_of_node(number).host));
    }
    EXPECT_EQ(node_number(net::Address::v4(100, 64, 0, 3)), std::nullopt);
    EXPECT_FALSE(is_neighbour_address(net::Address::v4(100, 100, 2, 1)));
    EXPECT_EQ(lowest_free_node_number({}), 1u);
    EXPECT_EQ(lowest_free_node_number({1, 2, 4}), 3u);
}

}  // namespace
}  // namespace weft::cloud
