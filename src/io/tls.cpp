#include "io/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>

#include "base/rng.h"
#include "base/strings.h"
#include "io/socket.h"

namespace weft::io {

namespace {

struct FreeSsl {
    void operator()(SSL* p) const { SSL_free(p); }
    void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
    void operator()(BIO* p) const { BIO_free(p); }
    void operator()(X509* p) const { X509_free(p); }
    void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, FreeSsl>;

// The oldest entry of this thread's OpenSSL error queue, which is then emptied.
std::string openssl_reason() {
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
    return reason != nullptr ? reason : "unknown TLS error";
}

Owned<BIO> memory(std::string_view pem) { return Owned<BIO>(BIO_new_mem_buf(pem.data(), int(pem.size()))); }

Status use_certificate(SSL_CTX* ctx, std::string_view certificate_pem, std::string_view key_pem) {
    const auto certificates = memory(certificate_pem);
    const Owned<X509> leaf(PEM_read_bio_X509_AUX(certificates.get(), nullptr, nullptr, nullptr));
    if (!leaf) return fail(Code::invalid, "certificate: no PEM certificate found: " + openssl_reason());
    if (SSL_CTX_use_certificate(ctx, leaf.get()) != 1) return fail(Code::invalid, "certificate: " + openssl_reason());
    while (Owned<X509> next{PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr)}) {
        if (SSL_CTX_add1_chain_cert(ctx, next.get()) != 1)
            return fail(Code::invalid, "certificate chain: " + openssl_reason());
    }
    ERR_clear_error();
    const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(memory(key_pem).get(), nullptr, nullptr, nullptr));
    if (!key) return fail(Code::invalid, "private key: no PEM key found: " + openssl_reason());
    if (SSL_CTX_use_PrivateKey(ctx, key.get()) != 1) return fail(Code::invalid, "private key: " + openssl_reason());
    return {};
}

Status trust(SSL_CTX* ctx, std::string_view ca_pem) {
    const auto bundle = memory(ca_pem);
    size_t found = 0;
    while (Owned<X509> ca{PEM_read_bio_X509(bundle.get(), nullptr, nullptr, nullptr)}) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca.get());
        SSL_CTX_add_client_CA(ctx, ca.get());
        ++found;
    }
    ERR_clear_error();
    if (found == 0) return fail(Code::invalid, "CA: no PEM certificate found");
    return {};
}

int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
                void*) {
    static constexpr unsigned char http_1_1[] = "\x08http/1.1";
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, out_size, http_1_1, sizeof http_1_1 - 1, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

class TlsStream final : public Stream {
public:
    TlsStream(std::shared_ptr<TlsContext> context, Owned<SSL> ssl, Fd fd)
        : context_(std::move(context)), ssl_(std::move(ssl)), fd_(std::move(fd)) {}

    Status handshake(bool server, Duration timeout) {
        const auto step = [&] { return server ? SSL_accept(ssl_.get()) : SSL_connect(ssl_.get()); };
        if (TRY(drive("TLS handshake", step, system_clock().now() + timeout, true)) == 0) {
            return fail(Code::unavailable, "TLS handshake: the other end closed");
        }
        return {};
    }

    Result<size_t> read(std::span<char> into) override {
        const auto step = [&] {
            return SSL_read(ssl_.get(), into.data(), int(std::min<size_t>(into.size(), INT32_MAX)));
        };
        return size_t(
            TRY(drive("read", step, system_clock().now() + read_timeout_, read_timeout_ >= Duration::zero())));
    }

    Status write(std::string_view bytes) override {
        while (!bytes.empty()) {
            const auto step = [&] {
                return SSL_write(ssl_.get(), bytes.data(), int(std::min<size_t>(bytes.size(), 1 << 30)));
            };
            const int n =
                TRY(drive("write", step, system_clock().now() + write_timeout_, write_timeout_ >= Duration::zero()));
            if (n == 0) return fail(Code::unavailable, "write: the other end is gone");
            bytes.remove_prefix(size_t(n));
        }
        return {};
    }

    void finish_writing() override {
        const std::lock_guard lock(mutex_);
        if (SSL_is_init_finished(ssl_.get())) SSL_shutdown(ssl_.get());
        ERR_clear_error();
        ::shutdown(fd_.get(), SHUT_WR);
    }

    void shutdown() override { ::shutdown(fd_.get(), SHUT_RDWR); }

    bool has_pending() const override {
        const std::lock_guard lock(mutex_);
        return SSL_pending(ssl_.get()) > 0;
    }

    void set_timeouts(Duration read, Duration write) override {
        read_timeout_ = read;
        write_timeout_ = write;
    }

    int fd() const override { return fd_.get(); }

private:
    // Repeats one SSL call until it is done, waiting outside the lock so that a reader never blocks a writer. 0 = end.
    template <class Step>
    Result<int> drive(std::string_view doing, Step step, MonotonicTime deadline, bool bounded) {
        for (;;) {
            int events = 0;
            {
                const std::lock_guard lock(mutex_);
                ERR_clear_error();
                const int n = step();
                if (n > 0) return n;
                const int saved_errno = errno;
                switch (SSL_get_error(ssl_.get(), n)) {
                    case SSL_ERROR_WANT_READ: events = POLLIN; break;
                    case SSL_ERROR_WANT_WRITE: events = POLLOUT; break;
                    case SSL_ERROR_ZERO_RETURN: return 0;
                    case SSL_ERROR_SYSCALL:
                        if (saved_errno == 0) return 0;
                        return fail(Code::unavailable, std::string(doing) + ": the other end is gone");
                    default: return failure(doing);
                }
            }
            const Duration left = bounded ? std::max(deadline - system_clock().now(), Duration::zero()) : no_timeout;
            if (TRY(wait_for(fd_.get(), events, left)) == 0) {
                return fail(Code::timeout, std::string(doing) + ": nothing moved in time");
            }
        }
    }

    std::unexpected<Error> failure(std::string_view doing) {
        const unsigned long code = ERR_peek_error();
        const bool untrusted = ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED;
        std::string why = openssl_reason();
        if (untrusted) why = X509_verify_cert_error_string(SSL_get_verify_result(ssl_.get()));
        return fail(untrusted ? Code::denied : Code::unavailable, std::string(doing) + ": " + why);
    }

    std::shared_ptr<TlsContext> context_;
    mutable std::mutex mutex_;  // an SSL object takes one call at a time
    Owned<SSL> ssl_;
    Fd fd_;
    Duration read_timeout_ = no_timeout, write_timeout_ = no_timeout;
};

class Session final : public TlsSession {
public:
    Session(std::shared_ptr<TlsContext> context, Owned<SSL> ssl) : context_(std::move(context)), ssl_(std::move(ssl)) {}

    Io read(std::span<char> into) override {
        return outcome(SSL_read(ready(), into.data(), int(std::min<size_t>(into.size(), INT32_MAX))));
    }

    Io write(std::string_view bytes) override {
        return outcome(SSL_write(ready(), bytes.data(), int(std::min<size_t>(bytes.size(), 1 << 30))));
    }

    void finish_writing() override {
        if (!failed_ && SSL_is_init_finished(ssl_.get())) SSL_shutdown(ssl_.get());
        ERR_clear_error();
    }

    std::string server_name() const override {
        const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
        return name == nullptr ? "" : name;
    }

private:
    SSL* ready() {
        ERR_clear_error();
        return ssl_.get();
    }

    Io outcome(int n) {
        if (n > 0) return {State::moved, size_t(n)};
        const int saved_errno = errno;
        switch (SSL_get_error(ssl_.get(), n)) {
            case SSL_ERROR_WANT_READ:
            case SSL_ERROR_WANT_WRITE: return {State::blocked};
            case SSL_ERROR_ZERO_RETURN: return {State::ended};
            case SSL_ERROR_SYSCALL:
                failed_ = true;
                return {saved_errno == 0 ? State::ended : State::failed};
            default:
                failed_ = true;
                ERR_clear_error();
                return {State::failed};
        }
    }

    std::shared_ptr<TlsContext> context_;
    Owned<SSL> ssl_;
    bool failed_ = false;
};

class Context final : public TlsContext, public std::enable_shared_from_this<Context> {
public:
    explicit Context(Owned<SSL_CTX> ctx) : ctx_(std::move(ctx)) {}

    Result<std::unique_ptr<Stream>> accept(Fd fd, Duration handshake_timeout) override {
        auto stream = TRY(open(std::move(fd), nullptr));
        TRY(stream->handshake(true, handshake_timeout));
        return stream;
    }

    Result<std::unique_ptr<Stream>> connect(Fd fd, const std::string& server_name,
                                            Duration handshake_timeout) override {
        auto stream = TRY(open(std::move(fd), &server_name));
        TRY(stream->handshake(false, handshake_timeout));
        return stream;
    }

    Result<std::unique_ptr<TlsSession>> session(int fd) override {
        Owned<SSL> ssl(SSL_new(ctx_.get()));
        if (!ssl || SSL_set_fd(ssl.get(), fd) != 1) return fail(Code::exhausted, "TLS: " + openssl_reason());
        SSL_set_accept_state(ssl.get());
        return std::make_unique<Session>(shared_from_this(), std::move(ssl));
    }

    SSL_CTX* get() const { return ctx_.get(); }

    // The contexts that choose_by_name may put in place of this one.
    ContextsByName by_name;
    std::shared_ptr<TlsContext> otherwise;

private:
    Result<std::unique_ptr<TlsStream>> open(Fd fd, const std::string* server_name) {
        set_no_delay(fd.get());
        TRY(set_nonblocking(fd.get(), true));
        Owned<SSL> ssl(SSL_new(ctx_.get()));
        if (!ssl || SSL_set_fd(ssl.get(), fd.get()) != 1) return fail(Code::exhausted, "TLS: " + openssl_reason());
        if (server_name != nullptr) {
            X509_VERIFY_PARAM* verify = SSL_get0_param(ssl.get());
            if (net::Address::parse(*server_name)) {
                X509_VERIFY_PARAM_set1_ip_asc(verify, server_name->c_str());
            } else {
                SSL_set_tlsext_host_name(ssl.get(), server_name->c_str());
                X509_VERIFY_PARAM_set1_host(verify, server_name->c_str(), server_name->size());
            }
        }
        return std::make_unique<TlsStream>(shared_from_this(), std::move(ssl), std::move(fd));
    }

    Owned<SSL_CTX> ctx_;
};

int choose_by_name(SSL* ssl, int*, void* self) {
    const auto& context = *static_cast<const Context*>(self);
    const char* asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (asked == nullptr) return SSL_TLSEXT_ERR_NOACK;
    const std::string name = to_lower(asked);
    auto found = context.by_name.find(name);
    if (found == context.by_name.end() && name.find('.') != std::string::npos)
        found = context.by_name.find("*" + name.substr(name.find('.')));
    if (found == context.by_name.end()) return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(ssl, static_cast<const Context&>(*found->second).get());
    return SSL_TLSEXT_ERR_OK;
}

Result<Owned<SSL_CTX>> new_context(const SSL_METHOD* method) {
    Owned<SSL_CTX> ctx(SSL_CTX_new(method));
    if (!ctx) return fail(Code::exhausted, "TLS context: " + openssl_reason());
    // OpenSSL writes with write(2), which has no MSG_NOSIGNAL.
    static const bool pipe_ignored = [] { return ::signal(SIGPIPE, SIG_IGN) != SIG_ERR; }();
    ENSURE(pipe_ignored);
    SSL_CTX_set_min_proto_version(ctx.get(), TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    // A peer that closes without close_notify is an ordinary end; HTTP's own framing says whether something is missing.
    SSL_CTX_set_options(ctx.get(), SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
    return ctx;
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::server(std::string_view certificate_pem, std::string_view key_pem,
                                                       std::string_view client_ca_pem) {
    Owned<SSL_CTX> ctx = TRY(new_context(TLS_server_method()));
    TRY(use_certificate(ctx.get(), certificate_pem, key_pem));
    SSL_CTX_set_alpn_select_cb(ctx.get(), choose_alpn, nullptr);
    static constexpr unsigned char session_scope[] = "weft";
    SSL_CTX_set_session_id_context(ctx.get(), session_scope, sizeof session_scope - 1);
    if (!client_ca_pem.empty()) {
        TRY(trust(ctx.get(), client_ca_pem));
        SSL_CTX_set_verify(ctx.get(), SSL_VERIFY_PEER, nullptr);
    }
    return std::make_shared<Context>(std::move(ctx));
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(std::string_view ca_pem, bool verify,
                                                       std::string_view certificate_pem, std::string_view key_pem) {
    Owned<SSL_CTX> ctx = TRY(new_context(TLS_client_method()));
    if (ca_pem.empty()) {
        SSL_CTX_set_default_verify_paths(ctx.get());
    } else {
        TRY(trust(ctx.get(), ca_pem));
    }
    SSL_CTX_set_verify(ctx.get(), verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    if (!certificate_pem.empty()) TRY(use_certificate(ctx.get(), certificate_pem, key_pem));
    static constexpr unsigned char http_1_1[] = "\x08http/1.1";
    SSL_CTX_set_alpn_protos(ctx.get(), http_1_1, sizeof http_1_1 - 1);
    return std::make_shared<Context>(std::move(ctx));
}

Result<std::shared_ptr<TlsContext>> tls_by_name(const ContextsByName& by_name, std::shared_ptr<TlsContext> otherwise) {
    Owned<SSL_CTX> ctx = TRY(new_context(TLS_server_method()));
    // What is shown where no name was asked for, or an unknown one.
    SSL_CTX* const fallback = static_cast<Context&>(*otherwise).get();
    STACK_OF(X509)* chain = nullptr;
    SSL_CTX_get0_chain_certs(fallback, &chain);
    if (SSL_CTX_use_cert_and_key(ctx.get(), SSL_CTX_get0_certificate(fallback), SSL_CTX_get0_privatekey(fallback), chain,
                                 1) != 1)
        return fail(Code::invalid, "certificate: " + openssl_reason());
    SSL_CTX_set_alpn_select_cb(ctx.get(), choose_alpn, nullptr);
    static constexpr unsigned char session_scope[] = "weft";
    SSL_CTX_set_session_id_context(ctx.get(), session_scope, sizeof session_scope - 1);
    const auto made = std::make_shared<Context>(std::move(ctx));
    made->by_name = by_name;
    made->otherwise = std::move(otherwise);
    SSL_CTX_set_tlsext_servername_callback(made->get(), choose_by_name);
    SSL_CTX_set_tlsext_servername_arg(made->get(), made.get());
    return made;
}

static std::string text_of(BIO* pem) {
    char* data = nullptr;
    const long bytes = BIO_get_mem_data(pem, &data);
    return bytes > 0 ? std::string(data, size_t(bytes)) : std::string();
}

Result<KeyPair> self_signed(const std::string& common_name) {
    constexpr long valid_s = 365L * 24 * 3600;
    const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
    const Owned<X509> certificate(X509_new());
    if (!key || !certificate) return fail(Code::exhausted, "certificate: " + openssl_reason());
    X509_set_version(certificate.get(), X509_VERSION_3);
    uint8_t serial[8];
    secure_random(serial);
    uint64_t number = 0;
    std::memcpy(&number, serial, sizeof number);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), number >> 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);  // clocks differ
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), valid_s);
    X509_NAME* const name = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common_name.c_str()), -1,
                               -1, 0);
    X509_set_issuer_name(certificate.get(), name);
    X509_set_pubkey(certificate.get(), key.get());
    if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0)
        return fail(Code::invalid, "certificate: " + openssl_reason());
    const Owned<BIO> certificate_pem(BIO_new(BIO_s_mem())), key_pem(BIO_new(BIO_s_mem()));
    if (PEM_write_bio_X509(certificate_pem.get(), certificate.get()) != 1 ||
        PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
        return fail(Code::exhausted, "certificate: " + openssl_reason());
    return KeyPair{text_of(certificate_pem.get()), text_of(key_pem.get())};
}

}  // namespace weft::io
