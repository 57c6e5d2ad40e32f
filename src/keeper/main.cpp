// Start: one keeper per node (a lock), rights dropped to CAP_SYS_ADMIN, then a poll loop over the workers' channels and
// ends.
#include "keeper/main.h"

#include <cap-ng.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <deque>

#include "base/log.h"
#include "http/health.h"
#include "keeper/worker_slot.h"
#include "worker/sockets.h"

namespace weft::keeper {

namespace {

constexpr Duration vanished_check_period = std::chrono::seconds(2);

Status keep_only_setns() {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("no_new_privs");
    capng_clear(CAPNG_SELECT_BOTH);
    const auto both = capng_type_t(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET);
    if (capng_update(CAPNG_ADD, both, CAP_SYS_ADMIN) != 0) return fail(Code::io, "choosing capabilities");
    if (capng_apply(CAPNG_SELECT_BOTH) != 0) return fail_errno("dropping capabilities");
    return {};
}

int milliseconds_until(MonotonicTime due, MonotonicTime now) {
    if (due == MonotonicTime::max()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - now).count();
    return int(std::clamp<int64_t>(left, 0, 60'000));
}

void serve(std::deque<WorkerSlot>& slots, Listeners& listeners, int wake, std::atomic<bool>& ready,
           const std::stop_token& stop) {
    metrics::Gauge& kept = metrics::gauge("weft_keeper_listeners", {}, "listener keys kept");
    MonotonicTime next_check = system_clock().now() + vanished_check_period;
    while (!stop.stop_requested()) {
        std::vector<pollfd> waiting{{wake, POLLIN, 0}};
        MonotonicTime due = next_check;
        for (const WorkerSlot& slot : slots) {
            waiting.push_back(slot.channel_poll());
            waiting.push_back(slot.exit_poll());
            due = std::min(due, slot.next_due());
        }
        poll(waiting.data(), waiting.size(), milliseconds_until(due, system_clock().now()));
        for (size_t i = 0; i < slots.size(); ++i) {
            // What a worker asked for before it ended is still read: its last message first, then its end.
            if (waiting[1 + 2 * i].revents != 0) slots[i].on_readable();
            if (waiting[2 + 2 * i].revents != 0 && slots[i].exit_poll().fd == waiting[2 + 2 * i].fd) slots[i].on_exit();
            slots[i].on_time(system_clock().now());
        }
        if (system_clock().now() >= next_check) {
            listeners.drop_vanished();
            next_check = system_clock().now() + vanished_check_period;
        }
        kept.set(int64_t(listeners.size()));
        ready = std::all_of(slots.begin(), slots.end(),
                            [](const WorkerSlot& slot) { return slot.state() == WorkerSlot::State::serving; });
    }
}

}  // namespace

Status run(const Options& options, std::stop_token stop) {
    const std::string run_dir = options.instance.node_run_dir(options.node);
    TRY(make_directories(run_dir, 0700));
    const Fd lock = TRY_IN("another keeper on this node", lock_file(run_dir + "/keeper.lock"));
    const Namespaces namespaces = TRY(Namespaces::open(options.instance, options.node));
    const Fd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!wake) return fail_errno("eventfd");
    worker::raise_descriptor_limit();
    TRY(keep_only_setns());  // before any other thread is made

    std::atomic<bool> ready = false;
    const auto health = TRY(http::serve_health(run_dir + "/keeper.health.sock", [&ready]() -> Status {
        if (ready) return {};
        return fail(Code::unavailable, "a worker is not running");
    }));
    const std::stop_callback on_stop(stop, [&wake] {
        const uint64_t one = 1;
        [[maybe_unused]] const ssize_t written = write(wake.get(), &one, sizeof one);
    });
    Listeners listeners(namespaces);
    std::deque<WorkerSlot> slots;
    for (const std::string& name : options.workers) slots.emplace_back(name, options, namespaces, listeners);
    log::info("keeper started", {{"node", options.node}});
    serve(slots, listeners, wake.get(), ready, stop);
    return {};
}

}  // namespace weft::keeper
