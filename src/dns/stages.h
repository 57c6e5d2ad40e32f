// Stages: how a question is answered: one list, read from top to bottom; a stage answers or passes on and knows nothing
// of the others. stages.cpp is the list.
//
// Threads: pure; one Rng per caller. Source: style.md part 4 (a DNS query); spec/acs.md §9.2 (the order).
#pragma once
#include <optional>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "base/rng.h"
#include "dns/loop_watch.h"
#include "dns/snapshot.h"
#include "dns_wire/message.h"

namespace weft::dns {

struct Settings {
    dns_wire::Name zone = *dns_wire::Name::parse("cluster.local.");
    uint32_t ttl_s = 5;
    bool forwarding = false;  // is there an upstream
    uint32_t answers_per_second = 0;  // of a client over UDP, each hand; 0 = no limit
    Duration tcp_idle_timeout = std::chrono::seconds(10);
    LoopWatch* loops = nullptr;       // nullptr: not looked for
};

struct Request {
    const dns_wire::Question& question;
    const Snapshot& snapshot;
    const View* view;  // of the VPC whose address was asked; null when we do not know (yet) of it
    const Settings& settings;
    Rng& rng;
};

enum class Verdict : uint8_t { pass, answered, forward };

struct Answer {
    dns_wire::Rcode rcode = dns_wire::Rcode::no_error;
    bool authoritative = false;
    std::vector<dns_wire::Record> answers, authorities, additionals;
    // Verdict::forward: what to ask upstream; its answer goes behind `answers` (a CNAME of ours may stand there).
    dns_wire::Question upstream;
};

struct Stage {
    std::string_view name;  // also the metric's label
    Verdict (*answer)(const Request& request, Answer& answer);
};

std::span<const Stage> stages();

struct Answered {
    Answer answer;
    Verdict verdict = Verdict::answered;
    std::string_view stage;
};
Answered walk(const Request& request);

}  // namespace weft::dns
