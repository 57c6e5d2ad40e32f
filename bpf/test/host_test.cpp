// The node's own programs as clients: of nodePorts, of public addresses, of Services; by packets, with no cgroup in
// play.
//
//   node 198.18.1.1, weft_host 100.64.0.3 ─┬─ red b 10.0.1.6, behind 203.0.113.5:80 and nodePorts 30080, 30053
//     uplink_egress on lo and on the uplink └─ (tunnel) ── red 10.0.2.6 on the other node
#include <sys/socket.h>

#include <cstring>
#include <thread>

#include "bpf/test/two_nodes.h"

namespace weft::test
{
namespace
{

constexpr uint32_t list_id = 50;
constexpr uint16_t node_port = 30080, node_port_udp = 30053;

// A nodePort's rows as the agent writes them: for the outside, and for those inside.
void node_port_rows(World &world, std::string_view address, uint16_t port, Protocol protocol, uint32_t list,
		    const std::vector<Target> &targets)
{
	for (const uint32_t vpc : {uint32_t(VPC_OUTSIDE), red}) {
		world.service(vpc, address, port, protocol, list, targets, 0, red);
		MUST(world.maps().frontends->erase(abi::frontend_address_key(vpc, ip(address))));
	}
}

void public_rows(World &world, std::string_view address, uint16_t port, Protocol protocol, uint32_t list,
		 const std::vector<Target> &targets, uint32_t flags = 0)
{
	for (const uint32_t vpc : {uint32_t(VPC_OUTSIDE), red})
		world.service(vpc, address, port, protocol, list, targets, flags, red);
}

struct HostClient : testing::Test {
	HostClient()
	{
		world.node("198.18.1.1");
		abi::node row = MUST(world.maps().node->lookup(0)).value();
		row.host_endpoint = host.id;
		row.tunnel_ifindex = row.uplink_ifindex;
		MUST(world.maps().node->put(0, row));
		world.ranges(red);
		public_rows(world, "203.0.113.5", 80, Protocol::tcp, list_id, {{1, red, b.address, 8080}});
		node_port_rows(world, "198.18.1.1", node_port, Protocol::tcp, list_id, {{1, red, b.address, 8080}});
		node_port_rows(world, "198.18.1.1", node_port_udp, Protocol::udp, list_id + 1,
			       {{2, red, b.address, 5353}});
	}

	net::PacketBuilder says(const Address &to)
	{
		return net::packet(uplink_mac, router_mac).ip(self, to);
	}

	// Both hops: out of a socket, round, and in by the uplink.
	Outcome asks(const net::PacketBuilder &packet)
	{
		const Outcome turned = world.node_sends(packet);
		EXPECT_EQ(turned.action, sent) << turned;
		EXPECT_NE(turned.mark, 0u);
		return world.arrives(turned.frame, turned.mark);
	}

	World world;
	Pod b = world.pod(red, "10.0.1.6");
	Pod host = world.pod(red, "100.64.0.3", abi::ENDPOINT_HOST);
	Address self = ip("198.18.1.1"), balancer = ip("203.0.113.5");
};

TEST_F(HostClient, OnlyWhatIsForAnAddressOfOursTurnsRound)
{
	for (const auto &packet :
	     {says(balancer).tcp(40000, 80, net::tcp_syn), says(balancer).udp(40000, 9),
	      says(self).tcp(40000, node_port, net::tcp_syn), says(self).udp(40000, node_port_udp)}) {
		const Outcome out = world.node_sends(packet);
		EXPECT_EQ(out.action, sent) << out;
		EXPECT_EQ(out.packet.destination_mac, uplink_mac) << out;
	}
	for (const auto &packet : {says(self).tcp(40000, 22, net::tcp_syn), says(self).udp(40000, node_port),
				   says(self).echo(true, 1), says(ip("198.18.0.1")).tcp(40000, 80, net::tcp_syn),
				   says(ip("198.18.1.2")).tcp(40000, node_port, net::tcp_syn)}) {
		const Outcome out = world.node_sends(packet);
		EXPECT_EQ(out.action, passed) << out;
		EXPECT_EQ(out.mark, 0u);
	}
}

// DP-13: also from the node itself.
TEST_F(HostClient, ANodePortAndAPublicAddressAnswerTheNodeItself)
{
	for (const auto &[to, port] : {std::pair{balancer, uint16_t(80)}, {self, node_port}}) {
		const auto source_port = uint16_t(40000 + port);
		const Outcome syn = asks(says(to).tcp(source_port, port, net::tcp_syn));
		ASSERT_TRUE(syn.reached(b)) << syn;
		EXPECT_EQ(syn.packet.source, self);
		EXPECT_EQ(syn.packet.tcp->destination_port, 8080);
		const Outcome answer = world.leaves(b, b.to(self).tcp(8080, source_port, net::tcp_syn | net::tcp_ack));
		ASSERT_TRUE(answer.reached(host)) << answer;
		EXPECT_EQ(answer.packet.source, to);
		EXPECT_EQ(answer.packet.tcp->source_port, port);
		EXPECT_TRUE(answer.packet.checksums_ok) << answer;
		ASSERT_TRUE(asks(says(to).tcp(source_port, port, net::tcp_ack)).reached(b));
		EXPECT_EQ(world.connection(red, Protocol::tcp, self, source_port, b.address, 8080)->state,
			  abi::CT_ESTABLISHED);
	}
	ASSERT_TRUE(asks(says(self).udp(4000, node_port_udp)).reached(b));
	EXPECT_TRUE(world.leaves(b, b.to(self).udp(5353, 4000)).reached(host));
}

TEST_F(HostClient, ARefusalReachesTheNodeItself)
{
	const Outcome tcp = asks(says(balancer).tcp(40000, 81, net::tcp_syn));
	EXPECT_EQ(tcp.reason, abi::DROP_UNLISTED_PORT) << tcp;
	EXPECT_EQ(tcp.action, sent);
	EXPECT_EQ(tcp.packet.destination_mac, host.mac);
	EXPECT_EQ(tcp.packet.tcp->flags, net::tcp_rst | net::tcp_ack);
	EXPECT_TRUE(tcp.packet.checksums_ok);
	node_port_rows(world, "198.18.1.1", node_port_udp, Protocol::udp, list_id + 1, {});
	const Outcome udp = asks(says(self).udp(4000, node_port_udp));
	EXPECT_EQ(udp.reason, abi::DROP_NO_BACKEND) << udp;
	EXPECT_EQ(udp.packet.destination_mac, host.mac);
	EXPECT_EQ(udp.packet.icmp->type, 3);
}

TEST_F(HostClient, AnErrorAboutAnAnswerReachesThePod)
{
	ASSERT_TRUE(asks(says(self).udp(4000, node_port_udp)).reached(b));
	const Outcome answer = world.leaves(b, b.to(self).udp(5353, 4000));
	ASSERT_TRUE(answer.reached(host)) << answer;
	const Bytes head(answer.frame.begin() + 14, answer.frame.begin() + 14 + 28);
	const Outcome out = asks(says(self).icmp(3, 3).payload(head));
	ASSERT_TRUE(out.reached(b)) << out;
	EXPECT_EQ(out.packet.icmp->about->udp->source_port, 5353);
	EXPECT_TRUE(out.packet.checksums_ok) << out;
}

// DP-6, DP-16: who is on the node is inside, whatever the policy says to the outside.
TEST_F(HostClient, AnExternalPolicyOfLocalAndSourceRangesAreForTheOutsideOnly)
{
	world.service(VPC_OUTSIDE, "198.18.1.1", node_port, Protocol::tcp, list_id + 2, {}, abi::FRONTEND_NONE_HERE,
		      red);
	MUST(world.maps().frontends->erase(abi::frontend_address_key(VPC_OUTSIDE, self)));
	public_rows(world, "203.0.113.5", 80, Protocol::tcp, list_id, {{1, red, b.address, 8080}},
		    abi::FRONTEND_SOURCE_RANGES);
	EXPECT_TRUE(asks(says(self).tcp(40000, node_port, net::tcp_syn)).reached(b));
	EXPECT_TRUE(asks(says(balancer).tcp(40001, 80, net::tcp_syn)).reached(b));
	// The same from the wire, with the node's address for a source: nobody is believed to be the node.
	EXPECT_EQ(world.arrives(says(self).tcp(40002, node_port, net::tcp_syn)).reason, abi::DROP_NO_LOCAL_BACKEND);
	EXPECT_EQ(world.arrives(says(balancer).tcp(40003, 80, net::tcp_syn)).reason, abi::DROP_SOURCE_RANGE);
}

TEST_F(HostClient, AnotherNodesPodAnswersFromTheNodesOwnAddressAndIsBelievedWhenItWasAsked)
{
	const auto answer = [&] {
		return world.arrives(says(self).tcp(node_port, 40000, net::tcp_syn | net::tcp_ack));
	};
	EXPECT_EQ(answer().action, passed) << "the kernel's to refuse";
	MUST(world.maps().nodes->put(1, {abi::to_abi(ip("198.18.1.2")), 1450, 0}));
	MUST(world.maps().locations->put(abi::location_key_of(red, MUST(net::Prefix::parse("10.0.2.0/28"))), 1));
	node_port_rows(world, "198.18.1.1", node_port, Protocol::tcp, list_id, {{1, red, ip("10.0.2.6"), 8080}});
	const Outcome handed_over = asks(says(self).tcp(40000, node_port, net::tcp_syn));
	EXPECT_EQ(handed_over.action, sent) << handed_over;
	EXPECT_FALSE(handed_over.reason) << handed_over;
	EXPECT_EQ(handed_over.packet.destination, self) << "as it came";
	EXPECT_TRUE(answer().reached(host));
	EXPECT_EQ(world.arrives(says(self).tcp(node_port, 40001, net::tcp_syn | net::tcp_ack)).action, passed);
}

// DP-13: on every node's address; a pod is served by its own node.
TEST_F(HostClient, APodReachesANodePortAtAnotherNodesAddress)
{
	const Pod a = world.pod(red, "10.0.1.5");
	EXPECT_EQ(world.leaves(a, a.to(ip("198.18.1.2")).tcp(40000, node_port, net::tcp_syn)).reason, abi::DROP_NO_NAT);
	MUST(world.maps().locations->put(abi::location_key_of(VPC_OUTSIDE, net::Prefix::host(ip("198.18.1.2"))), 1));
	for (const char *node : {"198.18.1.1", "198.18.1.2"}) {
		const Outcome syn = world.leaves(a, a.to(ip(node)).tcp(40000, node_port, net::tcp_syn));
		ASSERT_TRUE(syn.reached(b)) << syn;
		const Outcome answer =
		    world.leaves(b, b.to(a.address).tcp(syn.packet.tcp->destination_port, syn.packet.tcp->source_port,
							net::tcp_syn | net::tcp_ack));
		ASSERT_TRUE(answer.reached(a)) << answer;
		EXPECT_EQ(answer.packet.source, ip(node));
		EXPECT_EQ(answer.packet.tcp->destination_port, 40000);
	}
	EXPECT_EQ(world.leaves(a, a.to(ip("198.18.1.2")).tcp(40000, 22, net::tcp_syn)).reason, abi::DROP_NO_NAT);
	// Another VPC's nodePort would need its own source translated.
	world.ranges(blue);
	const Pod stranger = world.pod(blue, "10.0.1.5");
	EXPECT_EQ(world.leaves(stranger, stranger.to(self).tcp(40000, node_port, net::tcp_syn)).reason,
		  abi::DROP_NO_NAT);
}

TEST_F(HostClient, TheWiresMulticastIsTheNodesBusiness)
{
	for (const char *group : {"224.0.0.251", "255.255.255.255"})
		EXPECT_EQ(world.arrives(net::packet(router_mac, uplink_mac).ip(ip("198.18.0.1"), ip(group)).udp(67, 68))
			      .action,
			  passed);
}

// A megabyte there and a word back.
void exchange(const Place &client, const Address &to, uint16_t port, const Fd &listener, const Address &seen_as)
{
	constexpr size_t bytes = 1 << 20;
	auto mine = client.connect(Protocol::tcp, to, port);
	ASSERT_TRUE(mine) << mine.error().message;
	const Fd theirs = MUST(accept_on(listener));
	EXPECT_EQ(peer_of(theirs), seen_as);
	std::thread sender([&] { EXPECT_TRUE(send_text(*mine, std::string(bytes, 'x'))); });
	const auto received = receive_text(theirs, bytes);
	sender.join();
	ASSERT_TRUE(received) << received.error().message;
	EXPECT_EQ(received->size(), bytes);
	EXPECT_TRUE(send_text(theirs, "thanks"));
	const auto thanks = receive_text(*mine, 6);
	ASSERT_TRUE(thanks) << thanks.error().message;
	EXPECT_EQ(*thanks, "thanks");
}

void ask(const Place &client, const Address &to, uint16_t port, const Fd &server, const Address &seen_as,
	 size_t bytes = 8)
{
	const Fd mine = MUST(client.connect(Protocol::udp, to, port));
	for (int i = 0; i < 3; ++i) {
		ASSERT_TRUE(send_text(mine, std::string(bytes, 'q')));
		Address from;
		const auto question = answer_datagram(server, "answer", &from);
		ASSERT_TRUE(question) << question.error().message;
		EXPECT_EQ(from, seen_as);
		const auto answer = receive_text(mine, 100);
		ASSERT_TRUE(answer) << answer.error().message;
		EXPECT_EQ(*answer, "answer");
	}
}

struct Way {
	bool is_v6, offloads;
};

struct HostTraffic : testing::TestWithParam<Way> {
	static const char *either(const char *v4, const char *v6)
	{
		return GetParam().is_v6 ? v6 : v4;
	}

	HostTraffic()
	{
		if (!GetParam().offloads)
			world.offloads_off(true);
	}

	RealWorld world;
	const char *node_text = either("198.18.1.1", "2001:db8:18::1");
	const char *balancer_text = either("203.0.113.5", "2001:db8:203::5");
	Address node = ip(node_text), balancer = ip(balancer_text);
	Address b = ip(either("10.0.1.6", "fd00::6"));
};

// DP-13, DP-10: nothing of this process is in a cgroup of ours: every packet is translated.
TEST_P(HostTraffic, TheNodesOwnProgramsReachNodePortsPublicAddressesAndServices)
{
	node_port_rows(world.table, node_text, node_port, Protocol::tcp, list_id, {{1, red, b, 8080}});
	node_port_rows(world.table, node_text, node_port_udp, Protocol::udp, list_id + 1, {{2, red, b, 5353}});
	public_rows(world.table, balancer_text, 80, Protocol::tcp, list_id, {{1, red, b, 8080}});
	public_rows(world.table, balancer_text, 53, Protocol::udp, list_id + 1, {{2, red, b, 5353}});
	const char *const service = either("172.21.0.5", "fd00:1::5");
	world.table.service(red, service, 53, Protocol::udp, list_id + 1, {{2, red, b, 5353}});
	const Fd listener = world.red2.listen(Protocol::tcp, b, 8080);
	exchange(world.node, node, node_port, listener, node);
	exchange(world.node, balancer, 80, listener, node);
	const Fd server = world.red2.listen(Protocol::udp, b, 5353);
	ask(world.node, node, node_port_udp, server, node);
	ask(world.node, balancer, 53, server, node);
	ask(world.node, ip(service), 53, server, ip(either("100.64.0.3", "fd77:6566:7400::6440:3")));
	ask(world.node, node, node_port_udp, server, node, 1400);
	ask(world.node, node, node_port_udp, server, node, 1900); // whole on the loopback, whole in the pod
	const auto refused = world.node.connect(Protocol::tcp, balancer, 81);
	ASSERT_FALSE(refused);
	EXPECT_NE(refused.error().message.find("refused"), std::string::npos) << refused.error().message;
	// What is the node's own stays so.
	const Fd own = world.node.listen(Protocol::tcp, node, 8090);
	EXPECT_TRUE(world.node.connect(Protocol::tcp, node, 8090));
}

std::string name_of(const testing::TestParamInfo<Way> &info)
{
	return std::string(info.param.is_v6 ? "V6" : "V4") + (info.param.offloads ? "On" : "Off");
}

INSTANTIATE_TEST_SUITE_P(Families, HostTraffic,
			 testing::Values(Way{false, true}, Way{false, false}, Way{true, true}, Way{true, false}),
			 name_of);

TEST(HostOverTwoNodes, ANodePortOfThisNodeReachesAPodOfTheOtherAndAnswers)
{
	TwoNodes world;
	const Address b = ip("10.0.2.6");
	node_port_rows(world.n1.table, "198.18.1.1", node_port, Protocol::tcp, list_id, {{1, red, b, 8080}});
	node_port_rows(world.n1.table, "198.18.1.1", node_port_udp, Protocol::udp, list_id + 1, {{2, red, b, 5353}});
	public_rows(world.n1.table, "203.0.113.5", 80, Protocol::tcp, list_id, {{1, red, b, 8080}});
	const Fd listener = world.red_b.listen(Protocol::tcp, b, 8080);
	exchange(world.n1.place, world.n1.underlay, node_port, listener, world.n1.underlay);
	exchange(world.n1.place, ip("203.0.113.5"), 80, listener, world.n1.underlay);
	const Fd server = world.red_b.listen(Protocol::udp, b, 5353);
	ask(world.n1.place, world.n1.underlay, node_port_udp, server, world.n1.underlay);
	// Larger than the way to the other node: told, then cut by the sender.
	const Fd mine = MUST(world.n1.place.connect(Protocol::udp, world.n1.underlay, node_port_udp));
	const uint64_t before = TwoNodes::drops(world.n1, abi::HOOK_UPLINK_INGRESS, abi::DROP_TOO_BIG);
	ASSERT_TRUE(send_text(mine, std::string(4000, 'x')));
	char byte;
	EXPECT_LT(::recv(mine.get(), &byte, 1, 0), 0);
	EXPECT_EQ(errno, EMSGSIZE) << strerror(errno);
	EXPECT_GT(TwoNodes::drops(world.n1, abi::HOOK_UPLINK_INGRESS, abi::DROP_TOO_BIG), before);
}

} // namespace
} // namespace weft::test
