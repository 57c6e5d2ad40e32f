// ServerExchange: one request and its answer on a server connection; what Exchange promises, over a Stream and the
// bytes already received. Used by server.cpp only. Threads: the connection's.
#pragma once
#include <string>

#include "http/server.h"
#include "io/buffer.h"

namespace weft::http {

class ServerExchange final : public Exchange {
public:
    ServerExchange(const ServerOptions& options, const RequestHead& head, const Framing& framing, io::Stream& stream,
                   io::Buffer& received, std::stop_token stop);

    Result<std::string> read_body(size_t bytes_max) override;
    Result<size_t> read_some(std::span<char> into) override;
    Status respond(int status, std::string_view content_type, std::string_view body) override;
    Status respond(ResponseHead head, std::string_view body) override;
    Status start(ResponseHead head) override;
    Status write(std::string_view data) override;
    Status finish() override;
    Result<io::Stream*> take_over(const ResponseHead& head) override;
    bool client_gone() override;
    int fd() const override { return stream_.fd(); }
    std::stop_token stop() const override { return stop_; }
    bool answered() const override { return state_ != State::waiting; }

    // After the handler: ends what it left open. Whether another request may follow on the connection.
    bool complete();
    int status() const { return status_; }

private:
    enum class State : uint8_t { waiting, streaming, answered, taken_over, broken };

    // The next piece of the body, a view into received_; empty at its end.
    Result<std::string_view> next_data();
    void add_common_headers(ResponseHead& head);
    Status send(std::string_view bytes);
    void drain();

    const ServerOptions& options_;
    const RequestHead& request_;
    io::Stream& stream_;
    io::Buffer& received_;
    std::stop_token stop_;
    BodyReader body_;
    std::optional<MonotonicTime> body_deadline_;  // once it is waited for
    std::string_view pending_;  // of the body: parsed, not yet given out by read_some
    State state_ = State::waiting;
    bool expects_continue_;
    bool keep_alive_;
    bool chunked_ = false;  // the answer
    int status_ = 0;
    std::unique_ptr<io::Stream> raw_;
};

// "Tue, 24 Nov 2026 07:00:00 GMT" (RFC 9110 §5.6.7).
std::string http_date(WallTime time);

}  // namespace weft::http
