// Forwarder: asks upstream servers, for one hand.
//
// Every question travels from a fresh socket (a random port) with a random id and letters of random case; a reply counts
// only if id, question and case match and, the socket being connected, address and port too. A reply in another case, and
// more than mismatches_max that do not match at all, send the question over TCP, where nobody can guess. Equal questions
// share one exchange. What was cut is asked again over TCP. Each server has try_timeout, all together total_timeout; then
// the answer is an Error: timeout (nobody answered) or unavailable (nobody was there). Who answers SERVFAIL, REFUSED or
// the like is believed only when nobody else knows better. Replies are scrubbed (scrub.h).
//
//   state       meaning                        leaves by
//   udp         question sent                  good reply → done; TC, wrong case → tcp_connect; timeout, refusal → next try
//   tcp_connect connecting                     writable → tcp_read; error, timeout → next try
//   tcp_read    question sent, reply arriving  whole reply → done; error, timeout → next try
//
// Limits: pending_max exchanges and askers_max askers of one; beyond them they fail at once. Threads: its loop's.
// Source: RFC 5452; draft-vixie-dnsext-dns0x20; spec/kubernetes.md DNS-26.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "dns/loop_watch.h"
#include "dns/upstreams.h"
#include "dns_wire/message.h"
#include "io/loop.h"
#include "worker/worker.h"

namespace weft::dns {

struct ForwardConfig {
    std::vector<io::SocketAddress> upstreams;
    Policy policy = Policy::round_robin;
    dns_wire::Name zone;               // ours: nobody upstream speaks for it
    LoopWatch* loops = nullptr;        // must outlive the forwarder; nullptr: not looked for
    bool looks_for_loops = false;      // of all forwarders of a server one does
};

class Forwarder {
public:
    static constexpr unsigned tries_min = 2;  // of one server alone
    static constexpr Duration try_timeout = std::chrono::seconds(2);
    static constexpr Duration total_timeout = std::chrono::seconds(4);
    static constexpr Duration tend_period = std::chrono::milliseconds(250);
    static constexpr Duration loop_check_period = std::chrono::seconds(60);
    static constexpr Duration loop_check_retry = std::chrono::seconds(1);  // when there was no answer
    static constexpr size_t pending_max = 2048;
    static constexpr size_t askers_max = 256;
    static constexpr unsigned mismatches_max = 16;

    using Done = std::function<void(const Result<dns_wire::Message>&)>;

    // `loop` and `channel` must outlive it.
    Forwarder(io::Loop& loop, worker::Channel& channel, ForwardConfig config);
    ~Forwarder();

    bool enabled() const { return upstreams_.size() > 0; }
    // Once the loop runs: looks for loops now and then.
    void start();

    // `done` is called once, later or at once. `flags` gives RD, CD and DO.
    void ask(const dns_wire::Question& question, const dns_wire::Message& flags, Done done);
    const Upstreams& upstreams() const { return upstreams_; }

private:
    class Exchange;
    friend class Exchange;
    void begin(std::string key, std::unique_ptr<Exchange> exchange);
    void forget(const Exchange& exchange);
    void failed(size_t server);
    void tend();
    void probe(size_t server);
    void check_loops();
    uint64_t looping() const { return config_.loops == nullptr ? 0 : config_.loops->looping(); }

    io::Loop& loop_;
    worker::Channel& channel_;
    const ForwardConfig config_;
    Upstreams upstreams_;
    Rng rng_;
    io::Timer tend_timer_, loop_timer_;
    std::unordered_map<std::string, std::unique_ptr<Exchange>> pending_;
};

}  // namespace weft::dns
