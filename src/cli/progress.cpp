#include "cli/progress.h"

#include <fmt/format.h>

#include <cstdio>
#include <thread>

namespace weft::cli {

static constexpr auto poll_period = std::chrono::milliseconds(20);

Status step(std::string_view name, const std::function<Status()>& work) {
    fmt::print("  {:<56}", name);
    std::fflush(stdout);
    const MonotonicTime start = system_clock().now();
    const Status status = work();
    const double seconds = std::chrono::duration<double>(system_clock().now() - start).count();
    fmt::print("{} {:6.2f} s\n", status ? "ok    " : "FAILED", seconds);
    std::fflush(stdout);
    return status ? status : Status(fail(status.error().in(name)));
}

Status wait_until(Duration deadline, const std::function<Status()>& holds) {
    const MonotonicTime end = system_clock().now() + deadline;
    for (;;) {
        const Status status = holds();
        if (status) return status;
        if (system_clock().now() > end) return fail(Code::timeout, "gave up waiting: " + status.error().message);
        std::this_thread::sleep_for(poll_period);
    }
}

}  // namespace weft::cli
