// TLS: OpenSSL behind a small seam; no OpenSSL type leaves tls.cpp. TLS 1.2 and 1.3, ALPN "http/1.1".
//
// A TlsContext is made once from PEM text and shared by all connections; accept() and connect() do the handshake,
// blocking at most `handshake_timeout`, and give a Stream that keeps the context alive. Errors: invalid names what is
// wrong with the PEM; unavailable, timeout and denied (certificate not trusted) come from the handshake. Making a
// context ignores SIGPIPE in the whole process (a lost peer is an Error). Threads: any.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/stream.h"

namespace weft::io {

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
};

}  // namespace weft::io
