// What does not fit the way to another node: told to the sender with the size that fits, whatever the packet looks
// like.
//
//   a 10.0.1.5 fd00::5 ── node ──(tunnel, 1300)── 10.0.2.6 fd00::2:6
#include "bpf/test/world.h"

namespace weft::test
{
namespace
{

constexpr uint32_t way = 1300;
constexpr size_t ethernet = 14, large = 1400;
constexpr uint16_t more_v4 = 0x2000, more_v6 = 1, dont_fragment = 0x4000;
constexpr uint8_t no_operation = 1, hop_by_hop = 0, destination_options = 60;

// The frame with so many bytes of IPv4 options that say nothing.
Bytes with_ip_options(Bytes frame, size_t bytes)
{
	frame.insert(frame.begin() + long(ethernet) + 20, bytes, no_operation);
	uint8_t *const at = frame.data() + ethernet;
	at[0] = uint8_t(at[0] + bytes / 4);
	const auto total = uint16_t((at[2] << 8 | at[3]) + bytes);
	at[2] = uint8_t(total >> 8);
	at[3] = uint8_t(total);
	at[10] = at[11] = 0;
	uint32_t sum = 0;
	for (size_t i = 0; i < 20 + bytes; i += 2)
		sum += uint32_t(at[i] << 8 | at[i + 1]);
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	at[10] = uint8_t(~sum >> 8);
	at[11] = uint8_t(~sum);
	return frame;
}

struct TooBig : testing::Test {
	TooBig()
	{
		world.node("198.18.1.1");
		abi::node row = MUST(world.maps().node->lookup(0)).value();
		row.tunnel_ifindex = row.uplink_ifindex;
		MUST(world.maps().node->put(0, row));
		world.ranges(red);
		MUST(world.maps().nodes->put(1, {abi::to_abi(ip("198.18.1.2")), way, 0}));
		for (const char *there : {"10.0.2.6/32", "fd00::2:6/128"})
			MUST(
			    world.maps().locations->put(abi::location_key_of(red, MUST(net::Prefix::parse(there))), 1));
	}

	net::PacketBuilder v4()
	{
		return a.to(there4);
	}
	net::PacketBuilder v6()
	{
		return net::packet(a.mac, gateway_mac).ip(a6, there6);
	}

	// The sender hears of the size that fits, about this very packet.
	Outcome expect_told(const Bytes &frame)
	{
		const Outcome out = world.leaves(a, frame);
		const bool is_v4 = frame[12] == 0x08;
		EXPECT_EQ(out.reason, abi::DROP_TOO_BIG) << out;
		EXPECT_EQ(out.action, sent) << out;
		EXPECT_EQ(out.packet.destination_mac, a.mac) << out;
		EXPECT_TRUE(out.packet.checksums_ok) << out;
		EXPECT_EQ(out.packet.destination, is_v4 ? a.address : a6) << out;
		if (!out.packet.icmp || !out.packet.icmp->about) {
			ADD_FAILURE() << "no ICMP error: " << out;
			return out;
		}
		EXPECT_EQ(out.packet.icmp->type, is_v4 ? 3 : 2);
		EXPECT_EQ(out.packet.icmp->code, is_v4 ? 4 : 0);
		EXPECT_EQ(out.packet.icmp->sequence, way);
		EXPECT_EQ(out.packet.icmp->about->destination, is_v4 ? there4 : there6) << out;
		return out;
	}

	World world;
	Pod a = world.pod(red, "10.0.1.5", 0, "fd00::5");
	Address a6 = ip("fd00::5"), there4 = ip("10.0.2.6"), there6 = ip("fd00::2:6");
	std::string text = std::string(large, 'x');
};

TEST_F(TooBig, OfEachTransportInBothFamilies)
{
	for (const auto &packet : {v4(), v6()}) {
		EXPECT_EQ(expect_told(net::PacketBuilder(packet).udp(4000, 53).payload(text).bytes())
			      .packet.icmp->about->udp->source_port,
			  4000);
		EXPECT_EQ(expect_told(net::PacketBuilder(packet).tcp(4001, 80, net::tcp_syn).payload(text).bytes())
			      .packet.icmp->about->tcp->seq,
			  1000u);
		EXPECT_EQ(expect_told(net::PacketBuilder(packet).echo(true, 77).payload(text).bytes())
			      .packet.icmp->about->icmp->id,
			  77);
	}
	EXPECT_FALSE(world.leaves(a, v4().udp(4000, 53).payload(text.substr(0, way - 28))).reason);
	EXPECT_FALSE(world.leaves(a, v6().udp(4000, 53).payload(text.substr(0, way - 48))).reason);
}

TEST_F(TooBig, WithIpOptions)
{
	for (const size_t bytes : {size_t(4), size_t(24), size_t(40)}) {
		const Outcome udp = expect_told(with_ip_options(v4().udp(4000, 53).payload(text).bytes(), bytes));
		EXPECT_EQ(udp.packet.icmp->about->udp->destination_port, 53);
		const Outcome tcp =
		    expect_told(with_ip_options(v4().tcp(4001, 80, net::tcp_ack).payload(text).bytes(), bytes));
		EXPECT_EQ(tcp.packet.icmp->about->tcp->destination_port, 80);
		EXPECT_EQ(tcp.packet.icmp->about->tcp->flags, net::tcp_ack) << "the whole header stands in it";
	}
}

TEST_F(TooBig, WithExtensionHeaders)
{
	const Bytes one{0, 1, 4, 0, 0, 0, 0};
	Bytes long_one(7 + 15 * 8);
	long_one[0] = 15;
	for (size_t at = 1; at + 8 <= long_one.size(); at += 42) { // PadN over and over
		long_one[at] = 1;
		long_one[at + 1] = 40;
	}
	for (const Bytes &options : {one, long_one}) {
		const Outcome udp = expect_told(v6().extension(hop_by_hop, one)
						    .extension(destination_options, options)
						    .udp(4000, 53)
						    .payload(text)
						    .bytes());
		EXPECT_EQ(udp.packet.icmp->about->udp->destination_port, 53);
		EXPECT_EQ(
		    expect_told(
			v6().extension(destination_options, options).tcp(4001, 80, net::tcp_ack).payload(text).bytes())
			.packet.icmp->about->tcp->flags,
		    net::tcp_ack);
	}
}

TEST_F(TooBig, Pieces)
{
	// IPv6: nobody on the way may cut them smaller.
	const Outcome first = expect_told(v6().udp(4000, 53).ipv6_fragment(more_v6, 9).payload(text).bytes());
	EXPECT_EQ(first.packet.icmp->about->udp->destination_port, 53);
	expect_told(v6().protocol(17).ipv6_fragment(0x0600 | more_v6, 9).payload(text).bytes());
	// IPv4: only what forbids it.
	expect_told(v4().udp(4000, 53).fragment(dont_fragment | more_v4).payload(text).bytes());
	expect_told(v4().protocol(17).fragment(dont_fragment | 0xc0).payload(text).bytes());
	EXPECT_FALSE(world.leaves(a, v4().udp(4000, 53).fragment(more_v4).payload(text)).reason);
	EXPECT_FALSE(world.leaves(a, v4().protocol(17).fragment(0xc0).payload(text)).reason);
}

TEST_F(TooBig, AnErrorIsNotAnsweredByAnother)
{
	ASSERT_EQ(world.leaves(a, v4().udp(4000, 53)).action, sent);
	const Bytes question = net::packet(gateway_mac, a.mac).ip(there4, a.address).udp(53, 4000).bytes();
	Bytes inside(question.begin() + long(ethernet), question.begin() + long(ethernet) + 28);
	inside.resize(large);
	const Outcome out = world.leaves(a, v4().icmp(3, 3).payload(inside));
	EXPECT_EQ(out.reason, abi::DROP_TOO_BIG) << out;
	EXPECT_EQ(out.action, dropped);
}

} // namespace
} // namespace weft::test
