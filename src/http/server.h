// Server: blocking HTTP/1.1, one thread per connection, for the API server, the runtime and health endpoints.
//
//   auto server = Server::create(options, [](Request& request, Exchange& exchange) {
//       (void)exchange.respond(200, "text/plain", "hi");
//   });
//   TRY(server->listen_unix(path));
//   server->run(stop);              // or start() ... stop() around other work
//
// A handler runs to the end on the connection's thread and may block there (watch, logs -f, exec). It answers exactly
// once: respond(), or start()+write()…+finish(), or take_over(). A handler that returns without an answer gets 500; a
// body it did not read is read and dropped up to body_drain_bytes_max, else the connection closes. Bytes that are not
// HTTP get the parser's status and the connection closes. At connections_max a new connection takes the place of the one
// that has been idle longest, at least for evict_idle_min; where there is none it is answered 503 and closed. What a
// request is done for is never cut off for another.
// Stop: listeners close, idle connections end, running handlers see exchange.stop() and have stop_grace to
// finish; then their streams are shut down.
// Threads: Server from one; Exchange is its handler's (write() may come from
// another thread if only one does).
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "http/h1.h"
#include "http/message.h"
#include "io/socket.h"
#include "io/stream.h"
#include "io/tls.h"

namespace weft::http {

struct ServerOptions {
    std::string name = "http";  // in logs and metrics
    Limits limits;
    size_t connections_max = 1024;
    size_t body_drain_bytes_max = 256 * 1024;
    Duration idle_timeout = std::chrono::seconds(120);  // between requests
    Duration evict_idle_min = std::chrono::seconds(1);  // who has just come, or was just answered, keeps its place
    Duration head_timeout = std::chrono::seconds(10);   // from the first byte of a head to its last; TLS handshake
    Duration body_timeout = std::chrono::seconds(30);   // without a byte of the body
    Duration body_total_timeout = std::chrono::seconds(60);  // from its first byte to its last, however steadily it comes
    Duration write_timeout = std::chrono::seconds(30);  // a reader that takes nothing
    Duration stop_grace = std::chrono::seconds(5);
};

struct Request {
    RequestHead head;
    std::string_view path;                    // of head.target, still percent-encoded
    std::string_view query;                   // without '?'
    std::optional<io::PeerCredentials> peer;  // unix sockets
    std::string remote;                       // "10.0.0.1:4711", "unix:uid=0"
    bool tls = false;

    std::string_view method() const { return head.method; }
    const Headers& headers() const { return head.headers; }
};

class Exchange {
public:
    virtual ~Exchange() = default;

    // The whole request body. exhausted: longer than `bytes_max` (answer 413); invalid: malformed (answer 400); timeout
    // (408); unavailable: the client went away. Sends 100 Continue first if the client waits for it.
    virtual Result<std::string> read_body(size_t bytes_max) = 0;
    // Some of it; 0 = end.
    virtual Result<size_t> read_some(std::span<char> into) = 0;

    virtual Status respond(int status, std::string_view content_type, std::string_view body) = 0;
    // Content-Length, Date and Connection are added. Bodies of HEAD, 204 and 304 are left out.
    virtual Status respond(ResponseHead head, std::string_view body) = 0;

    // A body of unknown length: chunked, or until close for HTTP/1.0. Every write() goes out at once and fails once the
    // client is gone. finish() is called for you.
    virtual Status start(ResponseHead head) = 0;
    virtual Status write(std::string_view data) = 0;
    virtual Status finish() = 0;

    // Sends `head` (101) and gives the connection as a raw stream, bytes already received first; it lives until the
    // handler returns, then closes. Timeouts are off.
    virtual Result<io::Stream*> take_over(const ResponseHead& head) = 0;

    // Whether the client has closed its side or is gone; does not wait. A watch without events asks from time to time.
    virtual bool client_gone() = 0;
    // The connection's descriptor: poll it for POLLRDHUP to notice a client that leaves while you wait for something
    // else.
    virtual int fd() const = 0;
    virtual std::stop_token stop() const = 0;
    virtual bool answered() const = 0;
};

using RequestHandler = std::function<void(Request&, Exchange&)>;

class Server {
public:
    static std::unique_ptr<Server> create(ServerOptions options, RequestHandler handler);
    virtual ~Server() = default;  // stops

    // Before or after start. adopt_listener takes a listening socket made by someone else.
    virtual Status listen_unix(const std::string& path, unsigned mode = 0600) = 0;
    virtual Result<io::SocketAddress> listen_tcp(const io::SocketAddress& at,
                                                 std::shared_ptr<io::TlsContext> tls = nullptr) = 0;
    virtual Status adopt_listener(Fd listener, std::shared_ptr<io::TlsContext> tls = nullptr) = 0;

    virtual void run(std::stop_token stop) = 0;  // start(), wait, stop()
    virtual void start() = 0;
    virtual void stop() = 0;
    virtual size_t connections() const = 0;  // open now
};

}  // namespace weft::http
