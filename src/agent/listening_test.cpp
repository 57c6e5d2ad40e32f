#include "agent/listening.h"

#include "kernel/bpf_map_fake.h"

namespace weft::agent {
namespace {

net::Address ip(std::string_view text) {
    return MUST(net::Address::parse(text));
}

TEST(Listening, is_for_the_ipv6_addresses_that_are_announced_or_routed_here) {
    kernel::NodeMaps maps = kernel::fake_node_maps();
    Tables tables(maps);
    const auto announce = [&](std::string_view address) {
        MUST(tables.frontends.put({VPC_OUTSIDE, abi::to_abi(ip(address)), 0, FRONTEND_ANNOUNCED, 0}, {}));
    };
    announce("203.0.113.5");
    announce("2001:db8:113::aa:bbcc");
    MUST(tables.frontends.put(abi::frontend_address_key(VPC_OUTSIDE, ip("2001:db8:113::dd")), {}));  // another node's
    MUST(tables.endpoints.put(abi::endpoint_key_of(VPC_OUTSIDE, ip("fd00::5")), 3));
    MUST(tables.endpoints.put(abi::endpoint_key_of(7, ip("fd00::6")), 4));  // known in its VPC only
    EXPECT_EQ(desired_groups(tables), (std::set<net::Mac>{net::Mac{{0x33, 0x33, 0xff, 0xaa, 0xbb, 0xcc}},
                                                          net::Mac{{0x33, 0x33, 0xff, 0, 0, 5}}}));
}

}  // namespace
}  // namespace weft::agent
