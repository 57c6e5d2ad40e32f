// LoopWatch: finds out whether what we ask upstream comes back to us as a question.
//
// Now and then the forwarder asks each upstream for a name that nobody else can know; whoever of the hands is asked for
// it has found a loop. One for all hands. Threads: any. Source: spec/kubernetes.md DNS-26 (loop detection).
#pragma once
#include <array>
#include <atomic>
#include <cstdint>

#include "dns/upstreams.h"
#include "dns_wire/message.h"

namespace weft::dns {

class LoopWatch {
public:
    LoopWatch();

    // "3.<random>.weft-loop-check. TXT"
    dns_wire::Question question(size_t server) const;
    // True when it is one of ours; its upstream is looping from now on.
    bool caught(const dns_wire::Question& question);
    // How often questions to this upstream came back.
    uint32_t times(size_t server) const { return times_[server]; }
    void mend(size_t server);
    uint64_t looping() const { return looping_; }  // a bit each

private:
    dns_wire::Name zone_;
    std::array<std::atomic<uint32_t>, upstreams_max> times_{};
    std::atomic<uint64_t> looping_{0};
};

}  // namespace weft::dns
