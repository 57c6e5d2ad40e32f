// The scene of the isolation probes: three VPCs on a node, another node, an outside; and what may be said there, drawn from a
// seeded stream.
//
//   red and blue: a 10.0.1.5 fd00::5   b 10.0.1.6 fd00::6   Services 172.21.0.5, fd00:1::5 → b      the same in both
//     DNS 172.21.0.10 at a service endpoint; 203.0.113.7 (red), .8 (blue) → b; kubernetes 172.21.0.1 → the host (red's)
//   green: g 10.20.1.5 fd00:20::5, peered with red while both say so; never with blue
//   198.18.1.2: another node, which holds 10.0.2.6 and fd00::2:6 of both, and sends frames of any VPC
//
// Routes, peerings and backends come and go; WEFT_TEST_SEED replays a run. Used by isolation_test.cpp alone.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "bpf/test/world.h"

namespace weft::test
{

inline constexpr uint32_t green = 9;

inline uint64_t number_from(const char *variable, uint64_t otherwise)
{
	const char *given = std::getenv(variable);
	return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

// An address of the frame's network header, mapped; nullopt: it has none.
inline std::optional<Address> address_in(const Bytes &frame, size_t v4_at, size_t v6_at)
{
	Address address;
	if (frame[12] == 0x08 && frame[13] == 0x00) {
		address = ip("0.0.0.0");
		std::memcpy(address.bytes.data() + 12, frame.data() + v4_at, 4);
		return address;
	}
	if (frame[12] != 0x86 || frame[13] != 0xdd)
		return std::nullopt;
	std::memcpy(address.bytes.data(), frame.data() + v6_at, 16);
	return address;
}

inline std::optional<Address> source_in(const Bytes &frame)
{
	return address_in(frame, 26, 22);
}
inline std::optional<Address> destination_in(const Bytes &frame)
{
	return address_in(frame, 30, 38);
}

struct Speaker {
	Pod pod;
	Address v6;
};

struct IsolationScene : testing::Test {
	IsolationScene()
	{
		world.node("198.18.1.1", "2001:db8:18::1");
		host = add(red, "100.64.0.3", "fd77:6566:7400::6440:3", abi::ENDPOINT_HOST);
		abi::node row = MUST(world.maps().node->lookup(0)).value();
		row.host_endpoint = host.id;
		MUST(world.maps().node->put(0, row));
		for (const uint32_t vpc : {red, blue})
			furnish(vpc);
		for (const char *block : {"10.20.0.0/16", "fd00:20::/64"})
			world.route(green, block, abi::ROUTE_LOCAL);
		add(green, "10.20.1.5", "fd00:20::5");
		uplink = MUST(world.maps().node->lookup(0))->uplink_ifindex;
		join_another_node();
	}

	void join_another_node()
	{
		constexpr uint32_t other = 1;
		abi::node row = MUST(world.maps().node->lookup(0)).value();
		row.flags = abi::NODE_WRAPS;
		MUST(world.maps().node->put(0, row));
		const Address underlay = ip("198.18.1.2");
		MUST(world.maps().nodes->put(other, {abi::to_abi(underlay), 1450, abi::NODE_ON_LINK}));
		MUST(world.maps().locations->put(abi::location_key_of(VPC_OUTSIDE, net::Prefix::host(underlay)), other));
		for (const uint32_t vpc : {red, blue})
			for (const char *there : {"10.0.2.6", "fd00::2:6"})
				MUST(world.maps().locations->put(
				    abi::location_key_of(vpc, net::Prefix::host(ip(there))), other));
	}

	Pod add(uint32_t vpc, const char *v4, const char *v6, uint32_t flags = 0)
	{
		speakers.push_back({world.pod(vpc, v4, flags, v6), ip(v6)});
		return speakers.back().pod;
	}

	void furnish(uint32_t vpc)
	{
		world.ranges(vpc);
		add(vpc, "10.0.1.5", "fd00::5");
		add(vpc, "10.0.1.6", "fd00::6");
		world.local_address(add(vpc, "100.64.0.2", "fd77:6566:7400::6440:2", abi::ENDPOINT_SERVICE),
				    "172.21.0.10");
		const Address v4 = ip("10.0.1.6"), v6 = ip("fd00::6");
		world.service(vpc, "172.21.0.5", 53, Protocol::udp, vpc, {{vpc, vpc, v4, 5353}});
		world.service(vpc, "172.21.0.5", 80, Protocol::tcp, vpc + 100, {{vpc + 100, vpc, v4, 8080}});
		world.service(vpc, "fd00:1::5", 53, Protocol::udp, vpc + 200, {{vpc + 200, vpc, v6, 5353}});
		world.service(vpc, "fd00:1::5", 80, Protocol::tcp, vpc + 300, {{vpc + 300, vpc, v6, 8080}});
		world.service(vpc, "172.21.0.1", 80, Protocol::tcp, vpc + 400, {{400, red, host.address, 8080}});
		for (const uint32_t place : {uint32_t(VPC_OUTSIDE), vpc}) {
			world.service(place, vpc == red ? "203.0.113.7" : "203.0.113.8", 53, Protocol::udp, vpc,
				      {{vpc, vpc, v4, 5353}}, 0, vpc);
			world.service(place, vpc == red ? "203.0.113.7" : "203.0.113.8", 80, Protocol::tcp, vpc + 100,
				      {{vpc + 100, vpc, v4, 8080}}, 0, vpc);
			world.service(place, vpc == red ? "2001:db8:203::7" : "2001:db8:203::8", 80, Protocol::tcp,
				      vpc + 300, {{vpc + 300, vpc, v6, 8080}}, 0, vpc);
		}
	}

	// Below `bound`, from the seeded stream.
	uint32_t any(uint32_t bound)
	{
		return uint32_t(random() % bound);
	}

	uint64_t random()
	{ // xorshift64*: the test must not depend on how the library draws
		state ^= state >> 12;
		state ^= state << 25;
		state ^= state >> 27;
		return state * 0x2545f4914f6cdd1dULL;
	}

	const Address &target(bool v6)
	{
		static const std::vector<Address> four =
		    addresses({"10.0.1.6", "10.0.1.5", "172.21.0.5", "10.20.1.5", "198.51.100.7", "172.21.0.10",
			       "172.21.0.1", "203.0.113.7", "203.0.113.8", "10.0.2.6", "100.64.0.3", "198.18.1.1"});
		static const std::vector<Address> six =
		    addresses({"fd00::6", "fd00::5", "fd00:1::5", "fd00:20::5", "2001:db8:7::7", "2001:db8:203::7",
			       "2001:db8:203::8", "fd77:6566:7400::6440:3", "fd00::2:6"});
		const std::vector<Address> &list = v6 ? six : four;
		return list[any(any(2) != 0 ? 5 : uint32_t(list.size()))];
	}

	const Address &target_from_outside(bool v6)
	{
		static const std::vector<Address> four =
		    addresses({"203.0.113.7", "203.0.113.8", "203.0.113.7", "10.0.1.6", "198.18.1.1"});
		static const std::vector<Address> six =
		    addresses({"2001:db8:203::7", "2001:db8:203::8", "2001:db8:203::8", "fd00::6", "2001:db8:18::1"});
		return (v6 ? six : four)[any(5)];
	}

	static std::vector<Address> addresses(std::initializer_list<const char *> texts)
	{
		std::vector<Address> list;
		for (const char *text : texts)
			list.push_back(ip(text));
		return list;
	}

	// Few clients are outside, so that replies find what they answer.
	void transport(net::PacketBuilder &packet, bool is_outside)
	{
		const auto port = uint16_t(20000 + any(is_outside ? 4 : 200));
		const bool replies = any(3) == 0;
		uint16_t well_known = 0;
		switch (any(3)) {
		case 0:
			well_known = any(2) != 0 ? 53 : 5353;
			packet.udp(replies ? well_known : port, replies ? port : well_known);
			break;
		case 1:
			well_known = any(2) != 0 ? 80 : 8080;
			packet.tcp(replies ? well_known : port, replies ? port : well_known, uint8_t(any(32)));
			break;
		default:
			packet.echo(any(2) != 0, port);
			break;
		}
	}

	static bool is_client(const Address &address)
	{
		static const std::vector<Address> clients = addresses({"198.51.100.7", "2001:db8:7::7"});
		return address == clients[0] || address == clients[1];
	}

	// The packet an error speaks of: one that its receiver may once have sent to its sender.
	Bytes embedded(const Address &from, const Address &to, bool v6)
	{
		net::PacketBuilder inner =
		    net::packet(gateway_mac, gateway_mac).ip(to, any(4) != 0 ? from : target(v6));
		transport(inner, is_client(from) || is_client(to));
		Bytes bytes = inner.bytes();
		bytes.erase(bytes.begin(), bytes.begin() + 14);
		bytes.resize(std::min<size_t>(bytes.size(), (v6 ? 40 : 20) + 8 + any(24)));
		return bytes;
	}

	Bytes probe(net::PacketBuilder packet, const Address &from, const Address &to, bool v6)
	{
		if (any(8) == 0) { // an ICMP error about anything
			if (v6)
				packet.icmp(uint8_t(1 + any(4)), uint8_t(any(2)), 1280);
			else
				packet.icmp(any(2) != 0 ? 3 : 11, uint8_t(any(5)), 1280);
			return packet.payload(embedded(from, to, v6)).bytes();
		}
		const bool in_pieces = any(8) == 0;
		if (in_pieces && v6)
			packet.ipv6_fragment(uint16_t(any(3) * 8 | any(2)), any(8));
		transport(packet, is_client(from) || is_client(to));
		if (in_pieces && !v6)
			packet.fragment(uint16_t(any(3) | any(2) << 13));
		return packet.bytes();
	}

	void spoil(Bytes &frame)
	{
		if (any(3) != 0)
			return;
		for (uint32_t changes = 1 + any(4); changes > 0; --changes)
			frame[any(uint32_t(std::min<size_t>(frame.size(), 94)))] = uint8_t(random());
	}

	// Routes come and go, rows of the other side too, a backend leaves and returns.
	void change_the_world()
	{
		switch (any(4)) {
		case 0:
			peer(red, green, red_to_green);
			break;
		case 1:
			peer(green, red, green_to_red);
			break;
		case 2:
			if (any(2) != 0)
				world.remove_backend(any(2) != 0 ? red : blue);
			else
				for (const uint32_t vpc : {red, blue})
					MUST(world.maps().backends->put(
					    vpc, {vpc, abi::to_abi(ip("10.0.1.6")), abi::to_abi_port(5353), 17, 0}));
			break;
		default:
			world.route(any(2) != 0 ? red : blue, any(2) != 0 ? "10.20.1.0/24" : "fd00:20::/80",
				    any(2) != 0 ? abi::ROUTE_BLACKHOLE : abi::ROUTE_LOCAL);
			for (const uint32_t vpc : {red, blue})
				for (const char *prefix : {"10.20.1.0/24", "fd00:20::/80"})
					if (any(2) != 0)
						(void)world.maps().routes->erase(
						    abi::route_key_of(vpc, MUST(net::Prefix::parse(prefix))));
			break;
		}
	}

	void peer(uint32_t of, uint32_t to, bool &is_there)
	{
		is_there = !is_there;
		static constexpr const char *blocks_of_green[] = {"10.20.0.0/16", "fd00:20::/64"};
		static constexpr const char *blocks_of_red[] = {"10.0.0.0/16", "fd00::/64"};
		for (const char *block : to == green ? blocks_of_green : blocks_of_red) {
			const auto key = abi::route_key_of(of, MUST(net::Prefix::parse(block)));
			abi::route row{};
			row.kind = abi::ROUTE_PEERING;
			row.target = to;
			if (is_there)
				MUST(world.maps().routes->put(key, row));
			else
				MUST(world.maps().routes->erase(key));
		}
	}

	World world;
	std::vector<Speaker> speakers;
	Pod host;
	int uplink = 0;
	bool red_to_green = false, green_to_red = false;
	uint64_t state = number_from("WEFT_TEST_SEED", uint64_t(time(nullptr)) * 2654435761u | 1);
};

} // namespace weft::test
