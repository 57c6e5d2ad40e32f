// Rehearsal: what would this node's program do with a frame? The real program, loaded a second time: the rows that
// the agent writes are the node's own maps, what the program itself writes (conntrack, fragments, counters) goes into
// copies. Nothing of the node changes, and nothing is sent: BPF_PROG_TEST_RUN redirects no packet. A test run has no
// tunnel: what its header says, the sender's underlay address (host order) and the VNI, stands in TestSkb::cb.
//
// Errors: not_found when the node's maps are not pinned there. Costs as much memory as the node's conntrack holds.
// Threads: one at a time. Source: bpf(2) BPF_PROG_TEST_RUN; bpf/abi/maps.h.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "kernel/bpf_object.h"
#include "kernel/netns.h"
#include "kernel/test_run.h"
#include "net/packet_builder.h"

namespace weft::kernel {

struct Rehearsed {
    int action = -1;   // TC_ACT_*
    net::Bytes frame;  // after the program
    std::optional<abi::drop_reason> reason;
    std::map<abi::ct_key, abi::ct_entry> rows;  // of conntrack, made or changed by this frame
};

class Rehearsal {
public:
    // pod_egress, tunnel_ingress or uplink_ingress.
    static Result<Rehearsal> open(const std::string& bpf_dir, ProgramName program = ProgramName::pod_egress);
    Rehearsal(Rehearsal&&) noexcept;
    ~Rehearsal();

    // The node's own maps, to read.
    const NodeMaps& maps() const { return maps_; }

    const ProgramTag& tag() const { return tag_; }

    // Is the node's pinned program the same code as the one that is rehearsed?
    bool is_the_running_program() const { return is_the_running_program_; }

    // `ifindex` is the interface of `netns` (the node's) by which the frame comes.
    Result<Rehearsed> run(const Netns& netns, int ifindex, const net::Bytes& frame, const TestSkb& skb = {});

private:
    struct Copy;  // the second instance of the program

    Rehearsal();

    NodeMaps maps_;
    std::unique_ptr<Copy> copy_;
    ProgramTag tag_{};
    bool is_the_running_program_ = false;
};

}  // namespace weft::kernel
