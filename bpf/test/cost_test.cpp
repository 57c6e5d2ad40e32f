// What a packet costs in the programs: printed, not judged. Medians of single runs, so clock and cache effects are in them.
#include <bpf/bpf.h>

#include <algorithm>

#include "bpf/test/world.h"

namespace weft::test {
namespace {

constexpr int runs = 2001;

struct Cost : testing::Test {
    Cost() { world.ranges(red); }

    uint32_t median_ns(const Pod& from, const Bytes& frame) {
        std::vector<uint32_t> all;
        Bytes out(4096);
        __sk_buff context{};
        context.ifindex = uint32_t(from.ifindex);
        for (int i = 0; i < runs; ++i) {
            bpf_test_run_opts options{};
            options.sz = sizeof(options);
            options.data_in = frame.data();
            options.data_size_in = uint32_t(frame.size());
            options.data_out = out.data();
            options.data_size_out = uint32_t(out.size());
            options.ctx_in = &context;
            options.ctx_size_in = sizeof(context);
            options.repeat = 1;  // the programs do not put the packet back
            EXPECT_EQ(bpf_prog_test_run_opts(world.object().program(ProgramName::pod_egress).fd.get(), &options), 0);
            EXPECT_EQ(int(options.retval), sent);
            all.push_back(options.duration);
        }
        std::nth_element(all.begin(), all.begin() + runs / 2, all.end());
        return all[runs / 2];
    }

    World world;
    Pod a = world.pod(red, "10.0.1.5");
    Pod b = world.pod(red, "10.0.1.6");
};

TEST_F(Cost, OfThePathsThroughPodEgress) {
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
    std::printf("  refused with an answer       %5u ns\n", median_ns(a, a.to(ip("172.21.0.5")).udp(4000, 99).bytes()));
}

}  // namespace
}  // namespace weft::test
