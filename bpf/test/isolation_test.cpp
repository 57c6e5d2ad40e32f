// Whatever pods, other nodes and the outside send, valid or not: it reaches endpoints of its own VPC, or of one that its
// route table leads to by a peering, or goes back to its sender, or nowhere.
//
// The scene: isolation_scene.h. Routes, peerings and backends come and go, connections grow old. WEFT_TEST_SEED replays a run; there are
// 100,000 probes, 10^7 with WEFT_TEST_LONG=1, or as many as WEFT_ISOLATION_PROBES says.
#include "bpf/test/isolation_scene.h"

namespace weft::test
{
namespace
{

constexpr uint64_t probes_default = 100'000, probes_long = 10'000'000;
constexpr uint32_t changes_every = 50; // probes between two changes of the world
constexpr size_t vni_at = 14 + 20 + 8 + 4, inner_at = 14 + 20 + 8 + 8;

uint64_t probes_wanted()
{
	return number_from("WEFT_ISOLATION_PROBES",
			   std::getenv("WEFT_TEST_LONG") != nullptr ? probes_long : probes_default);
}

struct Isolation : IsolationScene {
	bool may_reach(const Pod &sender, const Pod &receiver, const Bytes &delivered) const
	{
		if (sender.vpc == receiver.vpc)
			return true;
		// The API server serves every VPC, and answers as the Service it was asked at.
		static const Address kubernetes = ip("172.21.0.1");
		if (receiver.id == host.id)
			return true;
		if (sender.id == host.id && (source_in(delivered) == kubernetes || is_error(delivered)))
			return true;
		return (sender.vpc == red && receiver.vpc == green && red_to_green) ||
		       (sender.vpc == green && receiver.vpc == red && green_to_red);
	}

	static bool is_error(const Bytes &frame)
	{
		return frame[23] == 1 || frame[20] == 58;
	}

	// The VPC that is reached from outside at this address; 0: none.
	static uint32_t owner(const std::optional<Address> &address)
	{
		static const std::vector<Address> reds = addresses({"203.0.113.7", "2001:db8:203::7"}),
						  blues = addresses({"203.0.113.8", "2001:db8:203::8"});
		if (!address)
			return 0;
		if (std::find(reds.begin(), reds.end(), *address) != reds.end())
			return red;
		return std::find(blues.begin(), blues.end(), *address) != blues.end() ? blue : 0;
	}

	const Pod *holder(const Bytes &frame) const
	{
		for (const Speaker &speaker : speakers)
			if (std::equal(speaker.pod.mac.bytes.begin(), speaker.pod.mac.bytes.end(), frame.begin()))
				return &speaker.pod;
		return nullptr;
	}

	uint64_t counted()
	{
		uint64_t packets = 0;
		for (const kernel::DropCount &drop : MUST(kernel::read_drops(world.maps())))
			packets += drop.packets;
		return packets;
	}

	// False: the frame went where it may not.
	testing::AssertionResult judge_pods(const Speaker &speaker, const Bytes &frame)
	{
		const kernel::TestRun out = MUST(kernel::test_run(egress, speaker.pod.ifindex, frame));
		if (out.action == dropped) {
			++drops;
			return testing::AssertionSuccess();
		}
		if (out.action != sent)
			return testing::AssertionFailure() << "action " << out.action;
		if (const Pod *receiver = holder(out.frame)) {
			returned += receiver->id == speaker.pod.id; // delivered to itself, or answered in its place
			delivered += receiver->id != speaker.pod.id;
			peered +=
			    receiver->vpc != speaker.pod.vpc && receiver->id != host.id && speaker.pod.id != host.id;
			if (may_reach(speaker.pod, *receiver, out.frame))
				return testing::AssertionSuccess();
			return testing::AssertionFailure()
			       << "from VPC " << speaker.pod.vpc << " to VPC " << receiver->vpc;
		}
		if (is_for_another_node(out.frame)) {
			++to_node;
			const uint32_t vni = vni_of(out.frame);
			const bool is_peered = speaker.pod.vpc == green && vni == red && green_to_red;
			return vni == speaker.pod.vpc || is_peered || speaker.pod.id == host.id
				   ? testing::AssertionSuccess()
				   : testing::AssertionFailure() << "from VPC " << speaker.pod.vpc << " in a frame of " << vni;
		}
		// Out of the uplink: a reply, from the public address of its own VPC.
		++left;
		if (std::equal(frame.begin(), frame.begin() + 6, out.frame.begin()) &&
		    owner(source_in(out.frame)) == speaker.pod.vpc)
			return testing::AssertionSuccess();
		return testing::AssertionFailure() << "out of the uplink, from VPC " << speaker.pod.vpc;
	}

	// Its tunnel's packet, as a hook of ours writes it.
	static bool is_for_another_node(const Bytes &frame)
	{
		static const Address underlay = ip("198.18.1.2");
		return destination_in(frame) == underlay && frame[23] == 17;
	}

	static uint32_t vni_of(const Bytes &frame)
	{
		return uint32_t(frame[vni_at] << 16 | frame[vni_at + 1] << 8 | frame[vni_at + 2]);
	}

	// What another node says is of one VPC, whatever is inside.
	Bytes frame_of_another_node(const Bytes &packet, uint32_t vni)
	{
		Bytes data{8, 0, 0, 0, 0, 0, uint8_t(vni), 0};
		data.insert(data.end(), packet.begin(), packet.end());
		return net::packet(router_mac, uplink_mac)
		    .ip(ip("198.18.1.2"), ip("198.18.1.1"))
		    .udp(uint16_t(0xc000 + any(100)), TUNNEL_PORT)
		    .no_udp_checksum()
		    .payload(data)
		    .bytes();
	}

	testing::AssertionResult judge_node(const Bytes &frame)
	{
		const kernel::TestRun out = MUST(kernel::test_run(ingress, uplink, frame));
		if (out.action == dropped) {
			++drops;
			return testing::AssertionSuccess();
		}
		if (out.action == passed)
			return testing::AssertionSuccess(); // the kernel's to open, if it is a frame at all
		const Pod *receiver = holder(out.frame);
		if (out.action != sent || receiver == nullptr)
			return testing::AssertionFailure() << "action " << out.action << ", to nobody: " << is_opened(frame, out);
		++from_node;
		return receiver->vpc == vni_of(frame) ? testing::AssertionSuccess()
						      : testing::AssertionFailure()
							    << "in a frame of VPC " << vni_of(frame) << " to " << receiver->vpc;
	}

	static const char *is_opened(const Bytes &frame, const kernel::TestRun &out)
	{
		return out.frame.size() + TUNNEL_OVERHEAD == frame.size() ? "opened" : "not opened";
	}

	testing::AssertionResult one_probe_of_another_node(bool v6)
	{
		static const uint32_t vnis[] = {red, blue, green, 77};
		const Address from = any(4) != 0 ? ip(v6 ? "fd00::2:6" : "10.0.2.6") : target(v6), to = target(v6);
		const auto kind = uint8_t(any(8) == 0 ? any(5) : uint32_t(abi::FRAME_PLAIN));
		const Mac as_ours{{TUNNEL_MARK, kind, uint8_t(any(2)), 0, uint8_t(vnis[any(4)]), 0}};
		const Bytes packet = probe(net::packet(as_ours, Mac{}).ip(from, to), from, to, v6);
		Bytes frame = frame_of_another_node(packet, vnis[any(4)]);
		if (any(3) == 0) // what is inside, which the outer header's sum does not cover
			for (uint32_t changes = 1 + any(4); changes > 0; --changes)
				frame[inner_at + any(uint32_t(std::min<size_t>(frame.size() - inner_at, 94)))] =
				    uint8_t(random());
		else
			spoil(frame);
		return judge_node(frame);
	}

	testing::AssertionResult judge_outside(const Bytes &frame)
	{
		const kernel::TestRun out = MUST(kernel::test_run(ingress, uplink, frame));
		if (out.action == dropped) {
			++drops;
			return testing::AssertionSuccess();
		}
		if (out.action == passed)
			return testing::AssertionSuccess(); // the node's own
		if (out.action != sent)
			return testing::AssertionFailure() << "action " << out.action;
		const Pod *receiver = holder(out.frame);
		if (receiver == nullptr) { // refused: back to where it came from
			++returned;
			return std::equal(frame.begin() + 6, frame.begin() + 12, out.frame.begin())
				   ? testing::AssertionSuccess()
				   : testing::AssertionFailure() << "back to nobody";
		}
		++came_in;
		return receiver->vpc == owner(destination_in(frame))
			   ? testing::AssertionSuccess()
			   : testing::AssertionFailure() << "from outside to VPC " << receiver->vpc;
	}

	testing::AssertionResult one_probe()
	{
		const bool v6 = any(3) == 0;
		if (any(8) == 0)
			return one_probe_of_another_node(v6);
		const bool from_outside = any(8) == 0;
		const Address &to = from_outside ? target_from_outside(v6) : target(v6);
		const Speaker &speaker = speakers[any(uint32_t(speakers.size()))];
		static const std::vector<Address> clients =
		    addresses({"198.51.100.7", "10.0.1.5", "2001:db8:7::7", "fd00::5"});
		const Address &from = from_outside ? clients[(v6 ? 2 : 0) + (any(4) == 0)]
				      : v6	   ? speaker.v6
						   : speaker.pod.address;
		Bytes frame = probe(
		    net::packet(from_outside ? router_mac : speaker.pod.mac, from_outside ? uplink_mac : gateway_mac)
			.ip(from, to),
		    from, to, v6);
		spoil(frame);
		return from_outside ? judge_outside(frame) : judge_pods(speaker, frame);
	}

	int egress = world.object().program(ProgramName::pod_egress).fd.get();
	int ingress = world.object().program(ProgramName::uplink_ingress).fd.get();
	uint64_t drops = 0, returned = 0, delivered = 0, peered = 0, left = 0, came_in = 0, to_node = 0, from_node = 0;
};

TEST_F(Isolation, NoFrameCrossesBetweenVpcsWithTheSameAddressesNorOverAPeeringThatIsNotThere)
{
	const uint64_t probes = probes_wanted();
	std::printf("  WEFT_TEST_SEED=%llu, %llu probes\n", static_cast<unsigned long long>(state),
		    static_cast<unsigned long long>(probes));
	const uint64_t counted_before = counted();
	// Between two jumps of conntrack's time, and two looks at the counters: each costs a walk over all that is
	// remembered.
	const uint64_t years_every = std::max<uint64_t>(2'000, probes / 500);
	for (uint64_t i = 0; i < probes; ++i) {
		if (i % changes_every == 0)
			change_the_world();
		ASSERT_TRUE(one_probe()) << "probe " << i;
		if (i % years_every != years_every - 1)
			continue;
		world.age(any(200));
		// What was dropped or answered in its place has a name and was counted.
		const uint64_t now = counted() - counted_before;
		ASSERT_GE(now, drops) << "a silent drop before probe " << i;
		ASSERT_LE(now, drops + returned) << "counted, and yet delivered, before probe " << i;
	}
	std::printf("  delivered %llu, over the peering %llu, from outside %llu, to the outside %llu, dropped %llu, "
		    "returned %llu, to another node %llu, from one %llu\n",
		    static_cast<unsigned long long>(delivered), static_cast<unsigned long long>(peered),
		    static_cast<unsigned long long>(came_in), static_cast<unsigned long long>(left),
		    static_cast<unsigned long long>(drops), static_cast<unsigned long long>(returned), static_cast<unsigned long long>(to_node),
		    static_cast<unsigned long long>(from_node));
	// Else nothing was shown about it.
	EXPECT_GT(delivered, probes / 10);
	EXPECT_GT(peered, probes / 1000);
	EXPECT_GT(came_in, probes / 1000);
	EXPECT_GT(left, probes / 50000);
	EXPECT_GT(to_node, probes / 1000);
	EXPECT_GT(from_node, probes / 1000);
}

} // namespace
} // namespace weft::test
