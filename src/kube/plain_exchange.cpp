#include "kube/plain_exchange.h"

#include <poll.h>
#include <sys/socket.h>

#include <charconv>

#include "base/strings.h"

namespace weft::kube {

namespace {

std::string request_text(const Endpoint& endpoint, const std::string& token, const Exchange& exchange) {
    const size_t scheme = endpoint.url.find("://");
    const std::string host = scheme == std::string::npos ? "localhost" : endpoint.url.substr(scheme + 3);
    std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nAccept: {}\r\n", exchange.method,
                                   exchange.target, host, endpoint.user_agent, exchange.accept);
    if (!token.empty()) text += "Authorization: Bearer " + token + "\r\n";
    if (!exchange.content_type.empty())
        text += fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", exchange.content_type, exchange.body.size());
    text += "\r\n";
    text += exchange.body;
    return text;
}

// The socket with a deadline and the bytes read ahead.
class Reader {
public:
    Reader(int fd, int deadline_s, bool& heard) : fd_(fd), heard_(heard) {
        if (deadline_s > 0) deadline_ = system_clock().now() + std::chrono::seconds(deadline_s);
    }

    Status send_all(std::string_view text) {
        while (!text.empty()) {
            TRY(wait_for(POLLOUT));
            const ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
            if (n < 0) return lost();
            text.remove_prefix(size_t(n));
        }
        return {};
    }

    // Appends what there is to `buffer`; false at the end of the stream.
    Result<bool> fill() {
        for (;;) {
            TRY(wait_for(POLLIN));
            char bytes[16384];
            const ssize_t n = ::recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
            if (n < 0) return lost();
            heard_ |= n > 0;
            buffer.append(bytes, size_t(n));
            return n > 0;
        }
    }

    // A line without its CRLF.
    Result<std::string> line() {
        size_t end = 0;
        while ((end = buffer.find("\r\n")) == std::string::npos) {
            if (buffer.size() > head_bytes_max) return fail(Code::unavailable, "a line of the reply is too long");
            if (!TRY(fill())) return lost();
        }
        std::string line = buffer.substr(0, end);
        buffer.erase(0, end + 2);
        return line;
    }

    static std::unexpected<Error> lost() { return fail(Code::unavailable, "the connection was lost"); }

    std::string buffer;

private:
    Status wait_for(short events) {
        for (;;) {
            int wait_ms = -1;
            if (deadline_) {
                const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - system_clock().now());
                if (left.count() <= 0) return fail(Code::timeout, "no reply in time");
                wait_ms = int(left.count());
            }
            pollfd wait{fd_, events, 0};
            const int ready = poll(&wait, 1, wait_ms);
            if (ready > 0) return {};
            if (ready < 0 && errno != EINTR) return fail_errno("poll");
        }
    }

    const int fd_;
    bool& heard_;
    std::optional<MonotonicTime> deadline_;
};

enum class Length : uint8_t { counted, chunked, until_close };

struct Head {
    int status = 0;
    Length length = Length::until_close;
    size_t bytes = 0;
    bool close = false;
    std::string content_type;
};

Result<Head> read_head(Reader& reader) {
    const std::string first = TRY(reader.line());
    Head head;
    if (!first.starts_with("HTTP/1.") || first.size() < 12 ||
        std::from_chars(first.data() + 9, first.data() + 12, head.status).ec != std::errc())
        return fail(Code::unavailable, "the reply is not HTTP/1.1");
    size_t total = first.size();
    for (;;) {
        const std::string line = TRY(reader.line());
        if (line.empty()) break;
        total += line.size();
        const size_t colon = line.find(':');
        if (colon == std::string::npos || total > head_bytes_max)
            return fail(Code::unavailable, "the reply's head is malformed");
        const std::string_view name = std::string_view(line).substr(0, colon);
        const std::string_view value = trim(std::string_view(line).substr(colon + 1));
        if (equals_ignoring_case(name, "content-type")) head.content_type = value;
        if (equals_ignoring_case(name, "connection") && equals_ignoring_case(value, "close")) head.close = true;
        if (equals_ignoring_case(name, "transfer-encoding") && equals_ignoring_case(value, "chunked"))
            head.length = Length::chunked;
        if (equals_ignoring_case(name, "content-length") && head.length != Length::chunked) {
            const std::optional<uint64_t> bytes = parse_unsigned(value);
            if (!bytes) return fail(Code::unavailable, "the reply's Content-Length is not a number");
            head.length = Length::counted;
            head.bytes = *bytes;
        }
    }
    if (head.status == 204 || head.status == 304)
        head = {head.status, Length::counted, 0, head.close, head.content_type};
    return head;
}

// Hands body bytes to the exchange's reader or collects them.
class Body {
public:
    Body(const Exchange& exchange, RawReply& reply)
        : exchange_(exchange),
          reply_(reply),
          streamed_(exchange.on_data && reply.status >= 200 && reply.status < 300) {}

    void take(std::string_view bytes) {
        if (bytes.empty()) return;
        too_large = !streamed_ && reply_.body.size() + bytes.size() > reply_bytes_max;
        enough = too_large || (streamed_ && !exchange_.on_data(bytes));
        if (!streamed_ && !too_large) reply_.body += bytes;
    }

    Status take_counted(Reader& reader, size_t left) {
        while (left > 0 && !enough) {
            if (reader.buffer.empty() && !TRY(reader.fill())) return Reader::lost();
            const size_t n = std::min(left, reader.buffer.size());
            take(std::string_view(reader.buffer).substr(0, n));
            reader.buffer.erase(0, n);
            left -= n;
        }
        return {};
    }

    Status take_chunked(Reader& reader) {
        while (!enough) {
            const std::string line = TRY(reader.line());
            size_t size = 0;
            if (std::from_chars(line.data(), line.data() + line.size(), size, 16).ec != std::errc())
                return fail(Code::unavailable, "a chunk of the reply has no size");
            if (size == 0) {
                while (!TRY(reader.line()).empty()) {}
                return {};
            }
            TRY(take_counted(reader, size));
            if (!enough && !TRY(reader.line()).empty())
                return fail(Code::unavailable, "a chunk of the reply is malformed");
        }
        return {};
    }

    Status take_rest(Reader& reader) {
        do {
            take(std::exchange(reader.buffer, ""));
        } while (!enough && TRY(reader.fill()));
        return {};
    }

    bool enough = false;  // the caller wants no more, or may have no more
    bool too_large = false;

private:
    const Exchange& exchange_;
    RawReply& reply_;
    const bool streamed_;
};

Result<PlainReply> converse(Reader& reader, const std::string& request, const Exchange& exchange) {
    TRY(reader.send_all(request));
    Head head;
    do {
        head = TRY(read_head(reader));
    } while (head.status >= 100 && head.status < 200);
    PlainReply result;
    result.reply = {head.status, head.content_type, {}};
    Body body(exchange, result.reply);
    switch (head.length) {
        case Length::counted: TRY(body.take_counted(reader, head.bytes)); break;
        case Length::chunked: TRY(body.take_chunked(reader)); break;
        case Length::until_close: TRY(body.take_rest(reader)); break;
    }
    if (body.too_large) return fail(Code::exhausted, "the reply is larger than 256 MiB");
    result.reusable = !body.enough && !head.close && head.length != Length::until_close && reader.buffer.empty();
    return result;
}

}  // namespace

Result<PlainReply> plain_exchange(const Fd& socket, const Endpoint& endpoint, const std::string& token,
                                  const Exchange& exchange, bool& heard) {
    const std::stop_callback hang_up(exchange.stop, [&] { ::shutdown(socket.get(), SHUT_RDWR); });
    Reader reader(socket.get(), exchange.deadline_s, heard);
    Result<PlainReply> result = converse(reader, request_text(endpoint, token, exchange), exchange);
    if (exchange.stop.stop_requested()) return PlainReply{};
    return result;
}

}  // namespace weft::kube
