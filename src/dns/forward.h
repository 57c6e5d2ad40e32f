// Forwarder: asks upstream servers, for one hand.
//
// Every question travels from a fresh socket (a random port) with a random id; a reply counts only if id and question
// match and, the socket being connected, address and port too. What was cut is asked again over TCP. tries_max tries of
// try_timeout each, the next server each time; then the answer is an Error and the client gets SERVFAIL.
//
//   state       meaning                        leaves by
//   udp         question sent                  good reply → done; TC → tcp_connect; timeout, refusal → next try
//   tcp_connect connecting                     writable → tcp_read; error, timeout → next try
//   tcp_read    question sent, reply arriving  whole reply → done; error, timeout → next try
//
// Limits: pending_max questions at once; beyond it they fail at once. Threads: its loop's. Source: RFC 5452; DNS-26.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dns_wire/message.h"
#include "io/loop.h"
#include "io/socket.h"
#include "worker/worker.h"

namespace weft::dns {

// "10.0.0.2:53,10.0.0.3" (port 53 if none); "" = none.
Result<std::vector<io::SocketAddress>> parse_upstreams(std::string_view text);

class Forwarder {
public:
    static constexpr unsigned tries_max = 2;
    static constexpr Duration try_timeout = std::chrono::seconds(2);
    static constexpr size_t pending_max = 2048;

    using Done = std::function<void(const Result<dns_wire::Message>&)>;

    // `loop` and `channel` must outlive it.
    Forwarder(io::Loop& loop, worker::Channel& channel, std::vector<io::SocketAddress> upstreams);
    ~Forwarder();

    bool enabled() const { return !upstreams_.empty(); }

    // `done` is called once, later or at once. `flags` gives RD, CD and DO.
    void ask(const dns_wire::Question& question, const dns_wire::Message& flags, Done done);

private:
    class Exchange;
    friend class Exchange;
    void forget(Exchange* exchange);

    io::Loop& loop_;
    worker::Channel& channel_;
    const std::vector<io::SocketAddress> upstreams_;
    size_t next_upstream_ = 0;
    std::vector<std::unique_ptr<Exchange>> pending_;
};

}  // namespace weft::dns
