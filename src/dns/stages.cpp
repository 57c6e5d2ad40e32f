#include "dns/stages.h"

#include "dns/cluster_zone.h"

namespace weft::dns {

namespace {

// A question that only our own forwarder can have asked.
Verdict loop(const Request& request, Answer& answer) {
    LoopWatch* const loops = request.settings.loops;
    if (loops == nullptr || !loops->caught(request.question)) return Verdict::pass;
    answer.rcode = dns_wire::Rcode::refused;
    return Verdict::answered;
}

Verdict forward(const Request& request, Answer& answer) {
    if (!request.settings.forwarding) return Verdict::pass;
    answer.upstream = request.question;
    return Verdict::forward;
}

Verdict refuse(const Request&, Answer& answer) {
    answer.rcode = dns_wire::Rcode::refused;
    return Verdict::answered;
}

constexpr Stage in_order[] = {
    {"loop", loop},
    {"cluster_zone", answer_cluster_zone},
    {"forward", forward},
    {"refuse", refuse},
};

}  // namespace

std::span<const Stage> stages() { return in_order; }

Answered walk(const Request& request) {
    for (const Stage& stage : in_order) {
        Answered answered;
        answered.verdict = stage.answer(request, answered.answer);
        answered.stage = stage.name;
        if (answered.verdict != Verdict::pass) return answered;
    }
    ENSURE(!"the last stage always answers");
    return {};
}

}  // namespace weft::dns
