// What a packet costs in the programs: printed, not judged. Medians of single runs, so clock and cache effects are in
// them.
#include <algorithm>

#include "bpf/test/world.h"

namespace weft::test
{
namespace
{

constexpr int runs = 2001;

struct Cost : testing::Test {
	Cost()
	{
		world.ranges(red);
	}

	uint32_t median_ns(const Pod &from, const Bytes &frame)
	{
		return median_ns(ProgramName::pod_egress, from.ifindex, frame, sent);
	}

	uint32_t median_ns(ProgramName program, int ifindex, const Bytes &frame, int action,
			   const kernel::TestSkb &skb = {})
	{
		std::vector<uint32_t> all;
		for (int i = 0; i < runs; ++i) {
			const auto run =
			    MUST(kernel::test_run(world.object().program(program).fd.get(), ifindex, frame, skb));
			EXPECT_EQ(run.action, action);
			all.push_back(run.duration_ns);
		}
		std::nth_element(all.begin(), all.begin() + runs / 2, all.end());
		return all[runs / 2];
	}

	World world;
	Pod a = world.pod(red, "10.0.1.5");
	Pod b = world.pod(red, "10.0.1.6");
};

TEST_F(Cost, OfAPathToAnotherNode)
{
	world.node("198.18.1.1");
	abi::node row = MUST(world.maps().node->lookup(0)).value();
	row.tunnel_ifindex = row.uplink_ifindex;
	MUST(world.maps().node->put(0, row));
	MUST(world.maps().nodes->put(1, {abi::to_abi(ip("198.18.1.2")), 1450, 0}));
	MUST(world.maps().locations->put(abi::location_key_of(red, MUST(net::Prefix::parse("10.0.2.0/28"))), 1));
	const Bytes there = a.to(ip("10.0.2.6")).udp(4000, 7000).bytes();
	world.leaves(a, there);
	std::printf("  half-open, to another node   %5u ns\n", median_ns(a, there));
}

// Of which the measuring itself is most: the clock is read before and after.
TEST_F(Cost, OfWhatIsNotForUs)
{
	world.node("198.18.1.1");
	const Bytes frame =
	    net::packet(uplink_mac, router_mac).ip(ip("198.18.1.1"), ip("198.18.1.2")).udp(4000, 4789).bytes();
	const auto send = [&](const kernel::TestSkb &skb) {
		return median_ns(ProgramName::uplink_egress, a.ifindex, frame, passed, skb);
	};
	std::printf("  the uplink's egress, of a pod %5u ns, of the node itself %5u ns\n", send({}),
		    send({.is_made_here = true}));
	const Bytes ping =
	    net::packet(router_mac, uplink_mac).ip(ip("198.18.1.2"), ip("198.18.1.1")).udp(4000, 4789).bytes();
	std::printf("  the node's own, arriving     %5u ns\n",
		    median_ns(ProgramName::uplink_ingress, a.ifindex, ping, passed));
}

TEST_F(Cost, OfANewConnection)
{
	const int program = world.object().program(ProgramName::pod_egress).fd.get();
	std::vector<uint32_t> took[4];
	for (int i = 0; i < runs; ++i) {
		const auto port = uint16_t(20000 + i);
		const std::pair<const Pod *, Bytes> packets[] = {
		    {&a, a.to(b.address).tcp(port, 80, net::tcp_syn).bytes()},
		    {&b, b.to(a.address).tcp(80, port, net::tcp_syn | net::tcp_ack).bytes()},
		    {&a, a.to(b.address).tcp(port, 80, net::tcp_ack).bytes()},
		    {&a, a.to(b.address).tcp(port, 80, net::tcp_rst | net::tcp_ack).bytes()},
		};
		for (int step = 0; step < 4; ++step) {
			const auto run =
			    MUST(kernel::test_run(program, packets[step].first->ifindex, packets[step].second));
			EXPECT_EQ(run.action, sent);
			took[step].push_back(run.duration_ns);
		}
	}
	for (auto &list : took)
		std::nth_element(list.begin(), list.begin() + runs / 2, list.end());
	std::printf("  SYN %u, SYN-ACK %u, ACK %u, RST %u ns\n", took[0][runs / 2], took[1][runs / 2],
		    took[2][runs / 2], took[3][runs / 2]);
}

TEST_F(Cost, OfTheSamePathsOverIpv6)
{
	const Pod c = world.pod(red, "10.0.1.7", 0, "fd00::7");
	const Pod d = world.pod(red, "10.0.1.8", 0, "fd00::8");
	const Address c6 = ip("fd00::7"), d6 = ip("fd00::8"), service = ip("fd00:1::5");
	world.service(red, "fd00:1::5", 53, Protocol::udp, 41, {{2, red, d6, 5353}});
	const auto says = [&](const Pod &pod, const Address &from, const Address &to) {
		return net::packet(pod.mac, gateway_mac).ip(from, to);
	};
	const Bytes direct = says(c, c6, d6).udp(4000, 7000).bytes();
	const Bytes question = says(c, c6, service).udp(4000, 53).bytes();
	const Bytes answer = says(d, d6, c6).udp(5353, 4000).bytes();
	world.leaves(c, direct);
	world.leaves(d, says(d, d6, c6).udp(7000, 4000));
	world.leaves(c, question);
	world.leaves(d, answer);
	std::printf("  established, pod to pod      %5u ns\n", median_ns(c, direct));
	std::printf("  established, to a Service    %5u ns\n", median_ns(c, question));
	std::printf("  established, from a Service  %5u ns\n", median_ns(d, answer));
}

TEST_F(Cost, OfThePathsThroughPodEgress)
{
	world.service(red, "172.21.0.5", 53, Protocol::udp, 40, {{1, red, b.address, 5353}});
	const Bytes direct = a.to(b.address).udp(4000, 7000).bytes();
	const Bytes question = a.to(ip("172.21.0.5")).udp(4000, 53).bytes();
	const Bytes answer = b.to(a.address).udp(5353, 4000).bytes();
	world.leaves(a, direct);
	world.leaves(b, b.to(a.address).udp(7000, 4000));
	world.leaves(a, question);
	world.leaves(b, answer);
	std::printf("  established, pod to pod      %5u ns\n", median_ns(a, direct));
	std::printf("  established, to a Service    %5u ns\n", median_ns(a, question));
	std::printf("  established, from a Service  %5u ns\n", median_ns(b, answer));
	std::printf("  refused with an answer       %5u ns\n",
		    median_ns(a, a.to(ip("172.21.0.5")).udp(4000, 99).bytes()));
}

} // namespace
} // namespace weft::test
