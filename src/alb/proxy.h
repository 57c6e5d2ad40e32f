// Proxy: the hands, the table they route by, and the listeners that the configuration asks for. The brain applies whole
// configurations; applying the same one again changes nothing.
//
// Threads: one (the brain's); is_programmed() from any.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "alb/hand.h"
#include "alb/route.h"
#include "base/published.h"
#include "worker/worker.h"

namespace weft::alb {

class Proxy {
public:
    static Result<std::unique_ptr<Proxy>> create(worker::Channel& channel, unsigned hands, const Timeouts& timeouts = {});
    ~Proxy();

    // The table first, then the listeners. An error names the first listener that could not be had; the rest is in
    // force, and the caller comes again.
    Status apply(const AlbConfig& config);
    void stop();  // see Hand::stop
    bool is_programmed() const { return programmed_; }

private:
    explicit Proxy(worker::Channel& channel);

    worker::Channel& channel_;
    Published<RouteTable> routes_;
    std::vector<std::unique_ptr<Hand>> hands_;
    std::set<worker::ListenKey> listening_;
    std::atomic<bool> programmed_{false};
};

}  // namespace weft::alb
