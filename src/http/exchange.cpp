#include "http/exchange.h"

#include <poll.h>

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "base/strings.h"

namespace weft::http {

namespace {

constexpr size_t read_bytes = 16 * 1024;

// The connection after take_over(): what was received beyond the head comes first.
class RawStream final : public io::Stream {
public:
    RawStream(io::Stream& stream, io::Buffer& early) : stream_(stream), early_(early) {}

    Result<size_t> read(std::span<char> into) override {
        if (early_.empty()) return stream_.read(into);
        const auto part = early_.view().substr(0, into.size());
        std::copy(part.begin(), part.end(), into.begin());
        const size_t n = part.size();
        early_.consume(n);
        return n;
    }

    Status write(std::string_view bytes) override { return stream_.write(bytes); }
    void finish_writing() override { stream_.finish_writing(); }
    void shutdown() override { stream_.shutdown(); }
    bool has_pending() const override { return !early_.empty() || stream_.has_pending(); }
    void set_timeouts(Duration read, Duration write) override { stream_.set_timeouts(read, write); }
    int fd() const override { return stream_.fd(); }

private:
    io::Stream& stream_;
    io::Buffer& early_;
};

// Handlers put outside text into headers (Warning, Location); a line break in it must not become a header of its own.
void sanitize(ResponseHead& head) {
    const auto ok = [](const Header& h) { return is_token(h.name) && is_field_value(h.value); };
    if (std::all_of(head.headers.begin(), head.headers.end(), ok)) return;
    Headers clean;
    for (const auto& [name, value] : head.headers) {
        std::string text(value);
        for (char& c : text) {
            if (uint8_t(c) < 0x20 || c == 0x7f) c = ' ';
        }
        if (is_token(name)) clean.add(name, text);
    }
    head.headers = std::move(clean);
}

bool may_have_body(int status) { return status >= 200 && status != 204 && status != 304; }

}  // namespace

std::string http_date(WallTime time) {
    const std::time_t seconds =
        std::chrono::system_clock::to_time_t(std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
    std::tm tm{};
    gmtime_r(&seconds, &tm);
    static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
                       tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

ServerExchange::ServerExchange(const ServerOptions& options, const RequestHead& head, const Framing& framing,
                               io::Stream& stream, io::Buffer& received, std::stop_token stop)
    : options_(options),
      request_(head),
      stream_(stream),
      received_(received),
      stop_(std::move(stop)),
      body_(framing, options.limits),
      expects_continue_(head.version == Version::http_1_1 && head.headers.lists("Expect", "100-continue") &&
                        !body_.done()),
      keep_alive_(wants_keep_alive(head.version, head.headers)) {}

Result<std::string_view> ServerExchange::next_data() {
    if (expects_continue_ && state_ == State::waiting) {
        expects_continue_ = false;
        TRY(send("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    for (;;) {
        const auto step = body_.next(received_.view());
        received_.consume(step.consumed);  // the bytes stay in place until more are read
        if (step.progress == Progress::rejected) {
            keep_alive_ = false;
            return fail(Code::invalid, "request body: " + body_.rejection().why);
        }
        if (!step.data.empty()) return step.data;
        if (step.progress == Progress::done) return std::string_view{};
        if (step.consumed > 0) continue;
        const MonotonicTime now = system_clock().now();
        if (!body_deadline_) body_deadline_ = now + options_.body_total_timeout;
        const Duration wait = std::min<Duration>(options_.body_timeout, *body_deadline_ - now);
        if (wait <= Duration()) {
            keep_alive_ = false;
            return fail(Code::timeout, "request body: it took too long");
        }
        stream_.set_timeouts(wait, options_.write_timeout);
        const auto n = stream_.read(received_.prepare(read_bytes));
        if (!n || *n == 0) {
            keep_alive_ = false;
            if (!n && n.error().code == Code::timeout && system_clock().now() >= *body_deadline_)
                return fail(Code::timeout, "request body: it took too long");
            if (!n) return fail(n.error().in("request body"));
            return fail(Code::unavailable, "request body: the client went away");
        }
        received_.commit(*n);
    }
}

Result<std::string> ServerExchange::read_body(size_t bytes_max) {
    const auto too_long = [&] {
        keep_alive_ = false;
        return fail(Code::exhausted, fmt::format("request body: more than {} bytes", bytes_max));
    };
    std::string out(pending_);
    pending_ = {};
    if (body_.framing().kind == Framing::Kind::length) {
        if (body_.framing().length > bytes_max) return too_long();
        out.reserve(size_t(body_.framing().length));
    }
    for (;;) {
        const auto data = TRY(next_data());
        if (data.empty()) return out;
        if (out.size() + data.size() > bytes_max) return too_long();
        out.append(data);
    }
}

Result<size_t> ServerExchange::read_some(std::span<char> into) {
    if (into.empty()) return fail(Code::invalid, "request body: no room to read into");
    if (pending_.empty()) pending_ = TRY(next_data());
    const auto part = pending_.substr(0, into.size());
    std::copy(part.begin(), part.end(), into.begin());
    pending_.remove_prefix(part.size());
    return part.size();
}

void ServerExchange::add_common_headers(ResponseHead& head) {
    sanitize(head);
    // A body that the client has not been asked for may or may not come: the next bytes could be either.
    if (expects_continue_ && !body_.done()) keep_alive_ = false;
    if (head.headers.lists("Connection", "close")) keep_alive_ = false;
    head.version = Version::http_1_1;
    if (!head.headers.has("Date")) head.headers.add("Date", http_date(system_clock().wall()));
    if (stop_.stop_requested()) keep_alive_ = false;
    if (!keep_alive_ && !head.headers.has("Connection")) head.headers.add("Connection", "close");
    if (keep_alive_ && request_.version == Version::http_1_0) head.headers.add("Connection", "keep-alive");
    status_ = head.status;
}

Status ServerExchange::send(std::string_view bytes) {
    const Status sent = stream_.write(bytes);
    if (!sent) {
        state_ = State::broken;
        keep_alive_ = false;
    }
    return sent;
}

Status ServerExchange::respond(int status, std::string_view content_type, std::string_view body) {
    ResponseHead head{.status = status};
    if (!content_type.empty()) head.headers.add("Content-Type", content_type);
    return respond(std::move(head), body);
}

Status ServerExchange::respond(ResponseHead head, std::string_view body) {
    if (state_ != State::waiting) return fail(Code::invalid, "this request is answered already");
    state_ = State::answered;
    head.headers.remove("Content-Length");
    head.headers.remove("Transfer-Encoding");
    add_common_headers(head);
    const bool with_body = may_have_body(head.status);
    if (with_body) head.headers.add("Content-Length", std::to_string(body.size()));
    std::string out;
    append_head(out, head);
    if (with_body && request_.method != "HEAD") out.append(body);
    return send(out);
}

Status ServerExchange::start(ResponseHead head) {
    if (state_ != State::waiting) return fail(Code::invalid, "this request is answered already");
    state_ = State::streaming;
    head.headers.remove("Content-Length");
    head.headers.remove("Transfer-Encoding");
    chunked_ = request_.version == Version::http_1_1;
    if (!chunked_) keep_alive_ = false;
    add_common_headers(head);
    if (chunked_ && may_have_body(head.status)) head.headers.add("Transfer-Encoding", "chunked");
    std::string out;
    append_head(out, head);
    return send(out);
}

Status ServerExchange::write(std::string_view data) {
    if (state_ != State::streaming) return fail(Code::unavailable, "write: the client is gone or the answer has ended");
    if (data.empty()) return {};
    if (request_.method == "HEAD" || !may_have_body(status_)) return {};
    if (!chunked_) return send(data);
    std::string out;
    out.reserve(data.size() + 24);
    append_chunk(out, data);
    return send(out);
}

Status ServerExchange::finish() {
    if (state_ != State::streaming) return {};
    state_ = State::answered;
    if (!chunked_ || request_.method == "HEAD" || !may_have_body(status_)) return {};
    return send("0\r\n\r\n");
}

Result<io::Stream*> ServerExchange::take_over(const ResponseHead& head) {
    if (state_ != State::waiting) return fail(Code::invalid, "this request is answered already");
    std::string out;
    append_head(out, head);
    status_ = head.status;
    TRY(send(out));
    state_ = State::taken_over;
    keep_alive_ = false;
    stream_.set_timeouts(io::no_timeout, io::no_timeout);
    raw_ = std::make_unique<RawStream>(stream_, received_);
    return raw_.get();
}

bool ServerExchange::client_gone() {
    if (state_ == State::broken) return true;
    pollfd one{.fd = stream_.fd(), .events = POLLRDHUP, .revents = 0};
    return ::poll(&one, 1, 0) > 0 && (one.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

bool ServerExchange::complete() {
    if (state_ == State::waiting) (void)respond(500, "text/plain", "the handler gave no answer\n");
    if (state_ == State::streaming) (void)finish();
    if (keep_alive_ && !body_.done()) drain();
    return keep_alive_ && state_ == State::answered;
}

void ServerExchange::drain() {
    size_t dropped = 0;
    while (dropped <= options_.body_drain_bytes_max) {
        const auto data = next_data();
        if (!data) return;
        if (data->empty()) return;
        dropped += data->size();
    }
    keep_alive_ = false;
}

}  // namespace weft::http
