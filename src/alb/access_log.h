// Access log: one line per request, key=value, with where its time went. Query strings are left out: they carry
// secrets.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "alb/phases.h"

namespace weft::alb {

struct AccessRecord {
    std::string client;
    uint32_t vni = 0;
    std::string_view method, host, path;
    int status = 0;  // 0 = the client went away before an answer
    std::string group, endpoint;
    unsigned attempts = 0;
    uint64_t bytes = 0;    // to the client
    std::string_view why;  // of an answer of our own, or of a broken exchange
    PhaseTimes times{};
};

void write_access_log(const AccessRecord& record);

// "receive:0.021,route:0.003,...": milliseconds of the phases that took any time.
std::string phase_text(const PhaseTimes& times);

}  // namespace weft::alb
