#include "kernel/test_run.h"

#include <bpf/bpf.h>

namespace weft::kernel {
namespace {

constexpr size_t frame_bytes_max = 4096;

}  // namespace

Result<TestRun> test_run(int program, int ifindex, const net::Bytes& frame, const TestSkb& skb) {
    TestRun run;
    run.frame.resize(frame_bytes_max);
    __sk_buff context{};
    context.ifindex = uint32_t(ifindex);
    context.ingress_ifindex = skb.is_made_here ? 0 : uint32_t(ifindex);
    context.mark = skb.mark;
    context.cb[0] = skb.cb[0];
    context.cb[1] = skb.cb[1];
    __sk_buff after{};
    bpf_test_run_opts options{};
    options.sz = sizeof(options);
    options.data_in = frame.data();
    options.data_size_in = uint32_t(frame.size());
    options.data_out = run.frame.data();
    options.data_size_out = uint32_t(run.frame.size());
    options.ctx_in = &context;
    options.ctx_size_in = sizeof(context);
    options.ctx_out = &after;
    options.ctx_size_out = sizeof(after);
    options.repeat = 1;  // a program does not put the packet back
    const int error = bpf_prog_test_run_opts(program, &options);
    if (error != 0) return fail(errno_error(error < 0 ? -error : error, "run a program on a frame"));
    run.action = int(options.retval);
    run.frame.resize(options.data_size_out);
    run.duration_ns = options.duration;
    run.mark = after.mark;
    return run;
}

}  // namespace weft::kernel
