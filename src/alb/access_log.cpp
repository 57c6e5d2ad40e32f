#include "alb/access_log.h"

#include <fmt/format.h>

#include "base/log.h"

namespace weft::alb {

namespace {

constexpr size_t logged_bytes_max = 512;  // of the host and of the path: a long target does not fill the disk

}  // namespace

std::string phase_text(const PhaseTimes& times) {
    std::string out;
    for (size_t i = 0; i < phase_count; ++i) {
        const auto microseconds = times[i] / std::chrono::microseconds(1);
        if (microseconds == 0) continue;
        fmt::format_to(std::back_inserter(out), "{}{}:{:.3f}", out.empty() ? "" : ",", phase_names[i],
                       double(microseconds) / 1000);
    }
    return out;
}

void write_access_log(const AccessRecord& record) {
    log::info("request", {{"method", record.method},
                          {"host", record.host.substr(0, logged_bytes_max)},
                          {"path", record.path.substr(0, logged_bytes_max)},
                          {"status", record.status},
                          {"backend", record.group},
                          {"endpoint", record.endpoint},
                          {"attempts", record.attempts},
                          {"client", record.client},
                          {"vni", record.vni},
                          {"bytes", record.bytes},
                          {"phases_ms", phase_text(record.times)},
                          {"error", record.why}});
}

}  // namespace weft::alb
