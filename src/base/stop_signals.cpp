#include "base/stop_signals.h"

#include <signal.h>

#include <thread>

namespace weft {

static sigset_t stop_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return signals;
}

void block_stop_signals() {
    const sigset_t signals = stop_signals();
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

std::stop_token stop_on_signals() {
    std::stop_source stop;
    std::thread([stop]() mutable {
        const sigset_t signals = stop_signals();
        int number = 0;
        sigwait(&signals, &number);
        stop.request_stop();
    }).detach();
    return stop.get_token();
}

}  // namespace weft
