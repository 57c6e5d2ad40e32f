// Shim: the runtime's end of a pod's `weft shim` (shim.cpp): starting one, and the conversation of protocol/runtime.h.
//
// A ShimLink reads on its own thread and tells what it hears; `lost` comes once, when the shim is gone (or never was
// there). Threads: send() any; callbacks on the link's thread. Destroying the link leaves the shim running.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/fd.h"
#include "base/result.h"
#include "protocol/runtime.h"

namespace weft::runtime {

std::string shim_socket(const std::string& folder);

// Returns when the shim listens. `netns` is a path.
Status start_shim(const std::string& self_binary, const std::string& folder, const std::string& netns);

// Tells a shim to end, if there is one; its containers end with it.
void quit_shim(const std::string& folder);

class ShimLink {
public:
    struct Listener {
        std::function<void(protocol::runtime::Report&&)> report;
        std::function<void()> caught_up;  // everything that happened before has been reported
        std::function<void()> lost;
    };

    // Errors: unavailable when nobody listens there.
    static Result<std::unique_ptr<ShimLink>> connect(const std::string& folder, Listener listener);
    ~ShimLink();

    Status send(const protocol::runtime::Order& order);

private:
    ShimLink(Fd socket, Listener listener);
    void listen(std::stop_token stop);

    Fd socket_;
    Listener listener_;
    std::jthread thread_;
};

}  // namespace weft::runtime
