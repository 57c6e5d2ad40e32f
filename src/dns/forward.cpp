#include "dns/forward.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/metrics.h"
#include "base/rng.h"
#include "base/strings.h"

namespace weft::dns {

using dns_wire::Message;

namespace {

constexpr uint16_t default_port = 53;

uint16_t random_id() {
    uint8_t bytes[2];
    secure_random(bytes);
    return uint16_t(bytes[0] << 8 | bytes[1]);
}

metrics::Counter& outcome_counter(std::string_view outcome) {
    return metrics::counter("weft_dns_forwarded_total", {{"outcome", std::string(outcome)}},
                            "questions asked upstream");
}

}  // namespace

Result<std::vector<io::SocketAddress>> parse_upstreams(std::string_view text) {
    std::vector<io::SocketAddress> upstreams;
    for (const std::string& part : split_list(text)) {
        const size_t colon = part.rfind(':');
        const std::string_view host = std::string_view(part).substr(0, colon);
        io::SocketAddress upstream{TRY_IN("--dns-upstream", net::Address::parse(host)), default_port};
        if (!upstream.address.is_v4()) return fail(Code::invalid, "--dns-upstream: only IPv4: " + part);
        if (colon != std::string::npos) {
            const std::optional<uint64_t> port = parse_unsigned(std::string_view(part).substr(colon + 1));
            if (!port || *port < 1 || *port > 65535) return fail(Code::invalid, "--dns-upstream: bad port: " + part);
            upstream.port = uint16_t(*port);
        }
        upstreams.push_back(upstream);
    }
    return upstreams;
}

class Forwarder::Exchange : public io::Handler {
public:
    Exchange(Forwarder& owner, const dns_wire::Question& question, const Message& flags, Done done)
        : owner_(owner),
          done_(std::move(done)),
          timer_([](void* it) { static_cast<Exchange*>(it)->next_try("timeout"); }, this) {
        query_.questions = {question};
        query_.recursion_desired = flags.recursion_desired;
        query_.checking_disabled = flags.checking_disabled;
        query_.edns = dns_wire::Edns{dns_wire::udp_bytes_edns, 0, flags.edns && flags.edns->dnssec_ok};
    }

    virtual ~Exchange() { close(); }

    void start(size_t upstream) {
        upstream_ = upstream;
        next_try("");
    }

    void ready(uint32_t) override {
        if (state_ == State::udp) return read_udp();
        if (state_ == State::tcp_connect && !connected()) return;
        read_tcp();
    }

private:
    enum class State : uint8_t { udp, tcp_connect, tcp_read };

    void close() {
        timer_.disarm();
        if (socket_) owner_.loop_.unwatch(socket_.get());
        socket_.reset();
    }

    // The last thing an exchange does: it is destroyed here.
    void end(const Result<Message>& result, std::string_view outcome) {
        outcome_counter(outcome).add();
        const Done done = std::move(done_);
        owner_.forget(this);
        done(result);
    }

    void next_try(std::string_view why) {
        close();
        if (tries_ == tries_max) return end(fail(Code::timeout, "no upstream answered"), why);
        ++tries_;
        const io::SocketAddress& to = owner_.upstreams_[upstream_++ % owner_.upstreams_.size()];
        state_ = State::udp;
        query_.id = random_id();
        if (const Status sent = send_udp(to); !sent) return next_try("no_socket");
        current_ = to;
    }

    Status open(net::Protocol protocol, const io::SocketAddress& to) {
        socket_ = TRY(owner_.channel_.upstream(0, protocol));
        timer_.arm(owner_.loop_, try_timeout);
        TRY(io::start_connect(socket_.get(), to));
        return owner_.loop_.watch(socket_.get(), *this);
    }

    Status send_udp(const io::SocketAddress& to) {
        TRY(open(net::Protocol::udp, to));
        const std::vector<uint8_t> bytes = dns_wire::encode(query_, dns_wire::udp_bytes_plain);
        if (send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return fail_errno("send to upstream");
        return {};
    }

    bool matches(const Message& reply) const { return reply.id == query_.id && reply.questions == query_.questions; }

    void read_udp() {
        uint8_t buffer[4096];
        for (;;) {
            const ssize_t got = recv(socket_.get(), buffer, sizeof buffer, 0);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0 && errno == EAGAIN) return;
            if (got < 0) return next_try("refused");
            const Result<Message> reply = dns_wire::decode_reply({buffer, size_t(got)});
            // Anything that does not match may be somebody's guess: go on waiting for the real one.
            if (!reply || !matches(*reply)) continue;
            if (reply->truncated) return ask_by_tcp();
            return end(reply, "answered");
        }
    }

    void ask_by_tcp() {
        close();
        state_ = State::tcp_connect;
        received_.clear();
        if (!open(net::Protocol::tcp, current_)) return next_try("no_socket");
    }

    // False when the exchange has moved on.
    bool connected() {
        if (!io::connect_outcome(socket_.get())) return next_try("refused"), false;
        std::vector<uint8_t> bytes = dns_wire::encode(query_, dns_wire::message_bytes_max);
        const auto size = uint16_t(bytes.size());
        bytes.insert(bytes.begin(), {uint8_t(size >> 8), uint8_t(size)});
        // A few hundred bytes always fit a fresh socket's buffer.
        const ssize_t sent = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == ENOTCONN)) return false;
        if (sent != ssize_t(bytes.size())) return next_try("refused"), false;
        state_ = State::tcp_read;
        return true;
    }

    void read_tcp() {
        uint8_t buffer[16384];
        for (;;) {
            const ssize_t got = recv(socket_.get(), buffer, sizeof buffer, 0);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0 && errno == EAGAIN) return;
            if (got <= 0) return next_try("refused");
            received_.insert(received_.end(), buffer, buffer + got);
            if (received_.size() < 2) continue;
            const size_t size = size_t(received_[0]) << 8 | received_[1];
            if (received_.size() < 2 + size) continue;
            const Result<Message> reply = dns_wire::decode_reply(std::span(received_).subspan(2, size));
            if (!reply || !matches(*reply)) return next_try("mismatch");
            return end(reply, "answered");
        }
    }

    Forwarder& owner_;
    Done done_;
    io::Timer timer_;
    Message query_;
    State state_ = State::udp;
    unsigned tries_ = 0;
    size_t upstream_ = 0;
    io::SocketAddress current_;
    Fd socket_;
    std::vector<uint8_t> received_;
};

Forwarder::Forwarder(io::Loop& loop, worker::Channel& channel, std::vector<io::SocketAddress> upstreams)
    : loop_(loop), channel_(channel), upstreams_(std::move(upstreams)) {}

Forwarder::~Forwarder() = default;

void Forwarder::ask(const dns_wire::Question& question, const Message& flags, Done done) {
    if (!enabled() || pending_.size() >= pending_max) {
        outcome_counter("overload").add();
        return done(fail(Code::exhausted, "pending_max questions are being forwarded"));
    }
    pending_.push_back(std::make_unique<Exchange>(*this, question, flags, std::move(done)));
    pending_.back()->start(next_upstream_++);
}

void Forwarder::forget(Exchange* exchange) {
    std::erase_if(pending_, [exchange](const auto& mine) { return mine.get() == exchange; });
}

}  // namespace weft::dns
