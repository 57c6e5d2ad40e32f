// What a vSwitch's own route table says: it stands in the place of the VPC's, the longest prefix wins, both families.
//
//   red: a 10.0.1.5 fd00::5 (table 2^24)   b 10.0.1.6 fd00::6 (the system table)   f 10.0.1.9 fd00::9 forwards
//   blue, peered with red: c 10.9.0.6 fd00:9::6                                    g 10.0.1.10 forwards too
#include "bpf/test/world.h"

namespace weft::test
{
namespace
{

constexpr uint32_t custom = 1u << 24;

struct RouteTable : testing::Test {
	RouteTable()
	{
		world.ranges(red);
		world.ranges(custom);
		world.route(blue, "10.9.0.0/16", abi::ROUTE_LOCAL);
		world.route(blue, "fd00:9::/64", abi::ROUTE_LOCAL);
		abi::endpoint row = MUST(world.maps().endpoint->lookup(a.id)).value();
		row.route_table = custom;
		MUST(world.maps().endpoint->put(a.id, row));
	}

	void put(uint32_t table, const char *prefix, abi::route_kind kind, uint32_t target = 0,
		 const char *via = nullptr)
	{
		abi::route row{};
		row.kind = kind;
		row.target = target;
		if (via != nullptr)
			row.via = abi::to_abi(ip(via));
		MUST(world.maps().routes->put(abi::route_key_of(table, MUST(net::Prefix::parse(prefix))), row));
	}

	void erase(uint32_t table, const char *prefix)
	{
		MUST(world.maps().routes->erase(abi::route_key_of(table, MUST(net::Prefix::parse(prefix)))));
	}

	Outcome says(const Pod &pod, const char *to)
	{
		const bool is_v4 = std::string_view(to).find(':') == std::string_view::npos;
		const Address source = is_v4 ? pod.address : six.at(pod.id);
		return world.leaves(pod, net::packet(pod.mac, gateway_mac).ip(source, ip(to)).udp(port++, 53));
	}

	World world;
	Pod a = world.pod(red, "10.0.1.5", 0, "fd00::5");
	Pod b = world.pod(red, "10.0.1.6", 0, "fd00::6");
	Pod f = world.pod(red, "10.0.1.9", abi::ENDPOINT_FORWARDS, "fd00::9");
	Pod g = world.pod(red, "10.0.1.10", abi::ENDPOINT_FORWARDS, "fd00::10");
	Pod c = world.pod(blue, "10.9.0.6", 0, "fd00:9::6");
	std::map<uint32_t, Address> six{
	    {a.id, ip("fd00::5")}, {b.id, ip("fd00::6")}, {f.id, ip("fd00::9")}, {c.id, ip("fd00:9::6")}};
	uint16_t port = 4000;
};

TEST_F(RouteTable, OfTheVSwitchStandsInThePlaceOfTheSystemTable)
{
	put(red, "10.9.0.0/16", abi::ROUTE_PEERING, blue);
	put(red, "fd00:9::/64", abi::ROUTE_PEERING, blue);
	for (const char *to : {"10.9.0.6", "fd00:9::6"}) {
		EXPECT_TRUE(says(b, to).reached(c)) << to;
		EXPECT_EQ(says(a, to).reason, abi::DROP_NO_NAT) << to << ": what the other table says is not asked";
	}
	put(custom, "10.9.0.0/16", abi::ROUTE_PEERING, blue);
	put(custom, "fd00:9::/64", abi::ROUTE_PEERING, blue);
	put(red, "10.9.0.0/16", abi::ROUTE_BLACKHOLE);
	put(red, "fd00:9::/64", abi::ROUTE_BLACKHOLE);
	for (const char *to : {"10.9.0.6", "fd00:9::6"}) {
		EXPECT_TRUE(says(a, to).reached(c)) << to;
		EXPECT_EQ(says(b, to).reason, abi::DROP_BLACKHOLE) << to;
	}
}

TEST_F(RouteTable, TheLongestPrefixWinsWhateverItsNextHop)
{
	put(custom, "0.0.0.0/0", abi::ROUTE_ENDPOINT, 0, "10.0.1.9");
	for (const char *half : {"8000::/1", "4000::/2", "2000::/3"})
		put(custom, half, abi::ROUTE_ENDPOINT, 0, "fd00::9");
	EXPECT_TRUE(says(a, "10.9.0.6").reached(f));
	EXPECT_TRUE(says(a, "8.8.8.8").reached(f));
	EXPECT_TRUE(says(a, "fd00:9::6").reached(f));
	EXPECT_TRUE(says(a, "2001:db8::1").reached(f));
	const struct {
		const char *wide, *narrow, *narrowest, *to, *beside;
	} families[] = {{"10.9.0.0/16", "10.9.0.0/24", "10.9.0.6/32", "10.9.0.6", "10.9.0.7"},
			{"fd00:9::/64", "fd00:9::/112", "fd00:9::6/128", "fd00:9::6", "fd00:9::7"}};
	for (const auto &it : families) {
		put(custom, it.wide, abi::ROUTE_BLACKHOLE);
		EXPECT_EQ(says(a, it.to).reason, abi::DROP_BLACKHOLE) << it.to;
		put(custom, it.narrow, abi::ROUTE_PEERING, blue);
		EXPECT_TRUE(says(a, it.to).reached(c)) << it.to;
		EXPECT_EQ(says(a, it.beside).reason, abi::DROP_NO_ENDPOINT) << it.beside;
		put(custom, it.narrowest, abi::ROUTE_BLACKHOLE);
		EXPECT_EQ(says(a, it.to).reason, abi::DROP_BLACKHOLE) << it.to;
		EXPECT_EQ(says(a, it.beside).reason, abi::DROP_NO_ENDPOINT) << it.beside;
		erase(custom, it.narrowest);
		erase(custom, it.narrow);
		erase(custom, it.wide);
		EXPECT_TRUE(says(a, it.to).reached(f)) << it.to << ": back at what is left";
	}
}

TEST_F(RouteTable, AnIpv4RouteSaysNothingOfIpv6AndTheOtherWayRound)
{
	put(custom, "0.0.0.0/0", abi::ROUTE_BLACKHOLE);
	EXPECT_EQ(says(a, "2001:db8::1").reason, abi::DROP_NO_NAT);
	EXPECT_EQ(says(a, "8.8.8.8").reason, abi::DROP_BLACKHOLE);
	erase(custom, "0.0.0.0/0");
	for (const char *part :
	     {"8000::/1", "4000::/2", "2000::/3", "1000::/4", "800::/5", "400::/6", "200::/7", "100::/8"})
		put(custom, part, abi::ROUTE_BLACKHOLE);
	EXPECT_EQ(says(a, "8.8.8.8").reason, abi::DROP_NO_NAT) << "::/0 as the agent programs it";
	EXPECT_EQ(says(a, "2001:db8::1").reason, abi::DROP_BLACKHOLE);
}

// An address that somebody of the VPC holds is found before any route: a route speaks of what nobody here has.
TEST_F(RouteTable, AnEndpointOfTheVpcIsFoundBeforeAnyRoute)
{
	put(custom, "10.0.1.6/32", abi::ROUTE_BLACKHOLE);
	put(custom, "fd00::6/128", abi::ROUTE_BLACKHOLE);
	EXPECT_TRUE(says(a, "10.0.1.6").reached(b));
	EXPECT_TRUE(says(a, "fd00::6").reached(b));
}

TEST_F(RouteTable, ACustomRouteMayStandInThePlaceOfAWholeBlock)
{
	put(custom, "10.0.0.0/16", abi::ROUTE_ENDPOINT, red, "10.0.1.9");
	EXPECT_TRUE(says(a, "10.0.77.1").reached(f)) << "an address that no vSwitch has";
	EXPECT_EQ(says(b, "10.0.77.1").reason, abi::DROP_NO_ENDPOINT) << "by the system table";
	put(custom, "10.0.77.0/24", abi::ROUTE_LOCAL); // a vSwitch's own block is never replaced
	EXPECT_EQ(says(a, "10.0.77.1").reason, abi::DROP_NO_ENDPOINT);
	EXPECT_EQ(says(a, "172.21.3.4").reason, abi::DROP_NO_SERVICE);
}

TEST_F(RouteTable, ALivingConnectionFollowsAChangeOfItsNextHopAtOnce)
{
	for (const auto &[prefix, via, other, to] :
	     {std::tuple{"192.168.0.0/16", "10.0.1.9", "10.0.1.10", "192.168.1.1"},
	      {"2001:db8::/32", "fd00::9", "fd00::10", "2001:db8::1"}}) {
		put(custom, prefix, abi::ROUTE_ENDPOINT, 0, via);
		const auto again = [&] {
			port = 5000;
			return says(a, to);
		};
		ASSERT_TRUE(again().reached(f)) << to;
		put(custom, prefix, abi::ROUTE_ENDPOINT, 0, other);
		EXPECT_TRUE(again().reached(g)) << to;
		put(custom, prefix, abi::ROUTE_NAT);
		EXPECT_EQ(again().reason, abi::DROP_NAT_GATEWAY) << to;
		erase(custom, prefix);
		EXPECT_EQ(again().reason, abi::DROP_NO_NAT) << to;
	}
}

TEST_F(RouteTable, ANextHopMustBeOneThatForwardsAndNotTheSenderItself)
{
	put(custom, "192.168.0.0/16", abi::ROUTE_ENDPOINT, 0, "10.0.1.6");
	EXPECT_EQ(says(a, "192.168.1.1").reason, abi::DROP_NEXT_HOP) << "b may not";
	put(custom, "192.168.0.0/16", abi::ROUTE_ENDPOINT, 0, "10.0.1.77");
	EXPECT_EQ(says(a, "192.168.1.1").reason, abi::DROP_NEXT_HOP) << "nobody";
	put(red, "192.168.0.0/16", abi::ROUTE_ENDPOINT, 0, "10.0.1.9");
	EXPECT_EQ(says(f, "192.168.1.1").reason, abi::DROP_NEXT_HOP) << "itself: its own vSwitch needs another table";
}

// A change of the binding is one field of the endpoint's row.
TEST_F(RouteTable, ARunningPodFollowsTheBindingOfItsVSwitch)
{
	put(red, "10.9.0.0/16", abi::ROUTE_PEERING, blue);
	ASSERT_EQ(says(a, "10.9.0.6").reason, abi::DROP_NO_NAT);
	abi::endpoint row = MUST(world.maps().endpoint->lookup(a.id)).value();
	row.route_table = red;
	MUST(world.maps().endpoint->put(a.id, row));
	EXPECT_TRUE(says(a, "10.9.0.6").reached(c));
}

} // namespace
} // namespace weft::test
