// TLS: OpenSSL behind a small seam; no OpenSSL type leaves tls.cpp. TLS 1.2 and 1.3, ALPN "http/1.1".
//
// A TlsContext is made once from PEM text and shared by all connections; accept() and connect() do the handshake,
// blocking at most `handshake_timeout`, and give a Stream that keeps the context alive. Errors: invalid names what is
// wrong with the PEM; unavailable, timeout and denied (certificate not trusted) come from the handshake. Making a
// context ignores SIGPIPE in the whole process (a lost peer is an Error). A process that will close its sandbox makes one
// context before: OpenSSL reads its files then. Threads: any.
#pragma once
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/stream.h"

namespace weft::io {

// TLS over a non-blocking descriptor, without waiting: each call does what is possible now, the handshake on the way.
// After a `blocked` the caller comes again at the descriptor's next event of any kind. Threads: one.
class TlsSession {
public:
    enum class State : uint8_t { moved, blocked, ended, failed };
    struct Io {
        State state = State::blocked;
        size_t bytes = 0;  // of `moved`
    };

    virtual ~TlsSession() = default;
    virtual Io read(std::span<char> into) = 0;
    virtual Io write(std::string_view bytes) = 0;
    virtual void finish_writing() = 0;  // close_notify
    virtual std::string server_name() const = 0;  // what the client asked for; "" = nothing
};

class TlsContext {
public:
    // `certificate_pem` may hold a chain, the server's own certificate first. `client_ca_pem` not empty: client
    // certificates signed by it are asked for and, when sent, must be valid.
    static Result<std::shared_ptr<TlsContext>> server(std::string_view certificate_pem, std::string_view key_pem,
                                                      std::string_view client_ca_pem = {});
    // `ca_pem` empty trusts the system's CAs; `verify` false trusts anyone. certificate and key: a client certificate.
    static Result<std::shared_ptr<TlsContext>> client(std::string_view ca_pem, bool verify = true,
                                                      std::string_view certificate_pem = {},
                                                      std::string_view key_pem = {});

    virtual ~TlsContext() = default;
    virtual Result<std::unique_ptr<Stream>> accept(Fd fd, Duration handshake_timeout) = 0;
    // `server_name` is sent as SNI and checked against the certificate (an IP literal is only checked).
    virtual Result<std::unique_ptr<Stream>> connect(Fd fd, const std::string& server_name,
                                                    Duration handshake_timeout) = 0;
    // A server's side of one connection under an event loop, see TlsSession. `fd` is non-blocking and must outlive it.
    virtual Result<std::unique_ptr<TlsSession>> session(int fd) = 0;
};

// What a server shows by the name that the client asks for: "shop.example.test" and "*.example.test" (one label), else
// `otherwise`. The contexts are server()s.
using ContextsByName = std::map<std::string, std::shared_ptr<TlsContext>, std::less<>>;
Result<std::shared_ptr<TlsContext>> tls_by_name(const ContextsByName& by_name, std::shared_ptr<TlsContext> otherwise);

// A certificate of our own making, for whom no other is there: self-signed, P-256, a year. Both as PEM.
struct KeyPair {
    std::string certificate_pem, key_pem;
};
Result<KeyPair> self_signed(const std::string& common_name);

}  // namespace weft::io
