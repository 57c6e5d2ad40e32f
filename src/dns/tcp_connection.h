// TcpConnection: DNS over one TCP connection: length-prefixed queries, any number one after the other, answered as they
// get ready (out of order when one had to be forwarded).
//
// Closed when the settings' tcp_idle_timeout passes without a whole query (also a slow sender's), on a query of length 0, or by the peer.
// No reading while in_flight_max queries wait or more than output_high_bytes do: that is the back pressure.
// Its hand owns it while it is open. Threads: its hand's. Source: RFC 7766; spec/kubernetes.md DNS-20.
#pragma once
#include <memory>
#include <vector>

#include "base/fd.h"
#include "dns/hand.h"
#include "io/loop.h"

namespace weft::dns {

class TcpConnection : public io::Handler, public std::enable_shared_from_this<TcpConnection> {
public:
    static constexpr unsigned in_flight_max = 64;
    static constexpr size_t output_high_bytes = 256 * 1024;
    static constexpr size_t connections_max = 1000;  // per hand; more are closed at once

    static void serve(Hand& hand, Fd fd, uint32_t vni);
    virtual ~TcpConnection();

    void ready(uint32_t events) override;

private:
    TcpConnection(Hand& hand, Fd fd, uint32_t vni);
    bool may_read() const;
    void read();
    bool take_queries();
    void answer(std::span<const uint8_t> query);
    void push(const std::vector<uint8_t>& response);
    void flush();
    void close();

    Hand& hand_;
    Fd fd_;
    const uint32_t vni_;
    io::Timer timer_;
    std::vector<uint8_t> input_, output_;
    size_t sent_ = 0;  // of output_
    unsigned in_flight_ = 0;
    bool open_ = true;
    bool input_ended_ = false;
};

}  // namespace weft::dns
