#include "dns/loop_watch.h"

#include "base/log.h"
#include "base/strings.h"

namespace weft::dns {

LoopWatch::LoopWatch() : zone_(MUST(dns_wire::Name::parse(random_hex(12) + ".weft-loop-check."))) {}

dns_wire::Question LoopWatch::question(size_t server) const {
    return {*zone_.child(std::to_string(server)), dns_wire::Type::txt, dns_wire::Class::in};
}

bool LoopWatch::caught(const dns_wire::Question& question) {
    if (question.type != dns_wire::Type::txt || !question.name.is_within(zone_)) return false;
    const auto server = parse_unsigned(question.name.labels().front());
    if (!server || *server >= upstreams_max) return true;
    ++times_[*server];
    const uint64_t bit = uint64_t(1) << *server;
    if ((looping_.fetch_or(bit) & bit) == 0)
        log::error("an upstream leads back to us and is not asked", {{"number", *server}});
    return true;
}

void LoopWatch::mend(size_t server) { looping_ &= ~(uint64_t(1) << server); }

}  // namespace weft::dns
