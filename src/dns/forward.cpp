#include "dns/forward.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/metrics.h"
#include "dns/cache.h"
#include "dns/scrub.h"

namespace weft::dns {

using dns_wire::Message;
using dns_wire::Question;
using dns_wire::Rcode;

namespace {

uint64_t random_bits() {
    uint64_t bits = 0;
    secure_random({reinterpret_cast<uint8_t*>(&bits), sizeof bits});
    return bits;
}

// The same name, each letter large or small by chance. A length byte is never a letter (at most 63).
dns_wire::Name in_random_case(const dns_wire::Name& name) {
    std::string wire = name.wire();
    uint64_t bits = 0;
    unsigned left = 0;
    for (char& c : wire) {
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter) continue;
        if (left == 0) {
            bits = random_bits();
            left = 64;
        }
        c = char((c & ~0x20) | (bits & 1 ? 0x20 : 0));
        bits >>= 1;
        --left;
    }
    size_t at = 0;
    return MUST(dns_wire::Name::read({reinterpret_cast<const uint8_t*>(wire.data()), wire.size()}, at));
}

// Says that this server cannot help, not that the name has a problem.
bool is_excuse(Rcode rcode) { return rcode != Rcode::no_error && rcode != Rcode::nx_domain; }

metrics::Counter& outcome_counter(std::string_view outcome) {
    return metrics::counter("weft_dns_forwarded_total", {{"outcome", std::string(outcome)}},
                            "questions asked upstream");
}

metrics::Counter& mismatch_counter() {
    static metrics::Counter& counter = metrics::counter(
        "weft_dns_mismatches_total", {}, "replies from upstream that did not fit their question and were passed over");
    return counter;
}

}  // namespace

class Forwarder::Exchange : public io::Handler {
public:
    Exchange(Forwarder& owner, const Question& question, const Message& flags, std::vector<size_t> servers, Done done)
        : owner_(owner),
          question_(question),
          servers_(std::move(servers)),
          timer_([](void* it) { static_cast<Exchange*>(it)->next_try("timeout"); }, this) {
        done_.push_back(std::move(done));
        query_.recursion_desired = flags.recursion_desired;
        query_.checking_disabled = flags.checking_disabled;
        query_.edns = dns_wire::Edns{dns_wire::udp_bytes_edns, 0, flags.edns && flags.edns->dnssec_ok};
    }

    virtual ~Exchange() { close(); }

    // One try at a server that rests, for which nobody waits.
    void be_a_probe() { is_probe_ = true; }

    bool join(Done done) {
        if (done_.size() >= askers_max) return false;
        done_.push_back(std::move(done));
        return true;
    }

    void start() {
        deadline_ = owner_.loop_.now() + total_timeout;
        next_try("");
    }

    void ready(uint32_t) override {
        if (state_ == State::udp) return read_udp();
        if (state_ == State::tcp_connect && !connected()) return;
        read_tcp();
    }

    std::string key;

private:
    enum class State : uint8_t { udp, tcp_connect, tcp_read };

    void close() {
        timer_.disarm();
        if (socket_) owner_.loop_.unwatch(socket_.get());
        socket_.reset();
    }

    // The last thing an exchange does: it is destroyed here.
    void end(const Result<Message>& result, std::string_view outcome) {
        if (!is_probe_) outcome_counter(outcome).add();
        const std::vector<Done> done = std::move(done_);
        owner_.forget(*this);
        for (const Done& tell : done) tell(result);
    }

    void give_up(std::string_view why) {
        if (excuse_) return end(*std::move(excuse_), "answered");
        if (why == "timeout") return end(fail(Code::timeout, "no upstream answered"), why);
        end(fail(Code::unavailable, "no upstream could be asked"), why);
    }

    bool may_try_again() const {
        if (tries_ == 0) return true;
        const size_t tries_max = is_probe_ ? 1 : std::max<size_t>(tries_min, servers_.size());
        return tries_ < tries_max && owner_.loop_.now() < deadline_;
    }

    // `why`: how the last try ended; "" = there was none.
    void next_try(std::string_view why) {
        close();
        if (why == "timeout" || why == "refused" || why == "mismatch") owner_.failed(server_);
        if (!may_try_again()) return give_up(why);
        server_ = servers_[tries_++ % servers_.size()];
        state_ = State::udp;
        mismatches_ = 0;
        query_.id = uint16_t(random_bits());
        query_.questions = {question_};
        query_.questions.front().name = in_random_case(question_.name);
        if (const Status sent = send_udp(); !sent) return next_try("no_socket");
    }

    Status open(net::Protocol protocol) {
        socket_ = TRY(owner_.channel_.upstream(0, protocol));
        timer_.arm(owner_.loop_, try_timeout);
        TRY(io::start_connect(socket_.get(), owner_.upstreams_.address(server_)));
        return owner_.loop_.watch(socket_.get(), *this);
    }

    Status send_udp() {
        TRY(open(net::Protocol::udp));
        const std::vector<uint8_t> bytes = dns_wire::encode(query_, dns_wire::udp_bytes_plain);
        if (send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return fail_errno("send to upstream");
        return {};
    }

    bool matches(const Message& reply) const { return reply.id == query_.id && reply.questions == query_.questions; }

    bool keeps_case(const Message& reply) const {
        return reply.questions.front().name.wire() == query_.questions.front().name.wire();
    }

    void read_udp() {
        uint8_t buffer[4096];
        for (;;) {
            const ssize_t got = recv(socket_.get(), buffer, sizeof buffer, 0);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0 && errno == EAGAIN) return;
            if (got < 0) return next_try("refused");
            Result<Message> reply = dns_wire::decode_reply({buffer, size_t(got)});
            const bool fits = reply && matches(*reply);
            if (fits && keeps_case(*reply) && !reply->truncated) return take(std::move(*reply));
            if (fits) return ask_by_tcp();
            // May be somebody's guess: go on waiting for the real one, but not for ever.
            mismatch_counter().add();
            if (++mismatches_ > mismatches_max) return ask_by_tcp();
        }
    }

    void ask_by_tcp() {
        close();
        state_ = State::tcp_connect;
        received_.clear();
        if (!open(net::Protocol::tcp)) return next_try("no_socket");
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
            Result<Message> reply = dns_wire::decode_reply(std::span(received_).subspan(2, size));
            if (!reply || !matches(*reply)) return next_try("mismatch");
            return take(std::move(*reply));
        }
    }

    void take(Message reply) {
        owner_.upstreams_.answered(server_);
        scrub(reply, question_, owner_.config_.zone);
        reply.questions = {question_};
        if (!is_excuse(reply.rcode)) return end(std::move(reply), "answered");
        excuse_ = std::move(reply);
        // The same server would say the same again.
        if (tries_ >= servers_.size()) return give_up("excuse");
        next_try("excuse");
    }

    Forwarder& owner_;
    const Question question_;
    const std::vector<size_t> servers_;
    std::vector<Done> done_;
    io::Timer timer_;
    Message query_;
    State state_ = State::udp;
    bool is_probe_ = false;
    unsigned tries_ = 0, mismatches_ = 0;
    size_t server_ = 0;
    MonotonicTime deadline_{};
    Fd socket_;
    std::vector<uint8_t> received_;
    std::optional<Message> excuse_;
};

Forwarder::Forwarder(io::Loop& loop, worker::Channel& channel, ForwardConfig config)
    : loop_(loop),
      channel_(channel),
      config_(std::move(config)),
      upstreams_(config_.upstreams, config_.policy),
      rng_(random_bits()),
      tend_timer_([](void* it) { static_cast<Forwarder*>(it)->tend(); }, this),
      loop_timer_([](void* it) { static_cast<Forwarder*>(it)->check_loops(); }, this) {}

Forwarder::~Forwarder() = default;

void Forwarder::start() {
    if (enabled() && config_.loops != nullptr && config_.looks_for_loops) check_loops();
}

void Forwarder::begin(std::string key, std::unique_ptr<Exchange> exchange) {
    if (pending_.contains(key)) return;  // a probe that is still under way
    Exchange& it = *exchange;
    it.key = key;
    pending_.emplace(std::move(key), std::move(exchange));
    it.start();
}

void Forwarder::ask(const Question& question, const Message& flags, Done done) {
    std::string key = Cache::key_of(question, flags);
    if (const auto same = pending_.find(key); same != pending_.end()) {
        if (same->second->join(done)) return;
    } else if (pending_.size() < pending_max) {
        std::vector<size_t> servers = upstreams_.order(rng_, looping());
        if (!servers.empty())
            return begin(std::move(key),
                         std::make_unique<Exchange>(*this, question, flags, std::move(servers), std::move(done)));
        outcome_counter("loop").add();
        return done(fail(Code::unavailable, "every upstream leads back to us"));
    }
    outcome_counter("overload").add();
    done(fail(Code::exhausted, "too many questions are being forwarded"));
}

void Forwarder::forget(const Exchange& exchange) {
    const std::string key = exchange.key;  // goes with it
    pending_.erase(key);
}

void Forwarder::failed(size_t server) {
    upstreams_.failed(server, loop_.now());
    if (upstreams_.any_rests() && !tend_timer_.armed()) tend_timer_.arm(loop_, tend_period);
}

void Forwarder::tend() {
    for (const size_t server : upstreams_.due(loop_.now())) probe(server);
    if (upstreams_.any_rests()) tend_timer_.arm(loop_, tend_period);
}

// Any answer will do: asked for is who serves the root.
void Forwarder::probe(size_t server) {
    Message flags;
    flags.recursion_desired = true;
    const auto done = [this, server](const Result<Message>& reply) {
        if (!reply) upstreams_.probe_failed(server, loop_.now());
    };
    auto exchange = std::make_unique<Exchange>(*this, Question{{}, dns_wire::Type::ns, dns_wire::Class::in}, flags,
                                               std::vector<size_t>{server}, done);
    exchange->be_a_probe();
    begin("probe " + std::to_string(server), std::move(exchange));
}

void Forwarder::check_loops() {
    loop_timer_.arm(loop_, loop_check_period);
    Message flags;
    flags.recursion_desired = true;
    for (size_t server = 0; server < upstreams_.size(); ++server) {
        const uint32_t before = config_.loops->times(server);
        const auto done = [this, server, before](const Result<Message>& reply) {
            if (config_.loops->times(server) != before) return;
            config_.loops->mend(server);
            if (!reply) loop_timer_.arm(loop_, loop_check_retry);
        };
        auto exchange = std::make_unique<Exchange>(*this, config_.loops->question(server), flags,
                                                   std::vector<size_t>{server}, done);
        exchange->be_a_probe();
        begin("loop " + std::to_string(server), std::move(exchange));
    }
}

}  // namespace weft::dns
