// One run of a tc program on a frame, by BPF_PROG_TEST_RUN: how rehearsals and packet stories ask "what would become of
// this?". Redirects are told, not done. In the calling thread's namespace, which must have the interface.
// Source: docs.kernel.org/bpf/bpf_prog_run.
#pragma once
#include <cstdint>

#include "base/result.h"
#include "net/packet_builder.h"

namespace weft::kernel {

// What the packet is beside its bytes.
struct TestSkb {
    uint32_t mark = 0;
    uint32_t cb[2] = {};
    bool is_made_here = false;  // came by no interface: what a program of the node itself sends
};

struct TestRun {
    int action = -1;
    net::Bytes frame;  // as the program left it
    uint32_t mark = 0;
    uint32_t duration_ns = 0;
};

Result<TestRun> test_run(int program, int ifindex, const net::Bytes& frame, const TestSkb& skb = {});

}  // namespace weft::kernel
