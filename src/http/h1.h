// HTTP/1.1 on the wire: strict parsers for heads and bodies, and the writer. Bytes in, values out; no sockets.
//
// Strict where leniency has let requests be smuggled: lines end in CRLF and nothing else, no obs-fold, no space before
// the colon, no control characters, one Content-Length of digits only, never beside Transfer-Encoding, and the only
// transfer coding is one `chunked`. What is refused carries the status to answer: 400 malformed, 414 target too long,
// 431 head too large, 501 unknown coding or absurd method, 505 version. After a Rejection nothing on that connection
// can be trusted.
//
//   RequestParser parser;                       parser.parse(all bytes since the head's first, head) until done;
//   BodyReader body(parser.framing());          body.next(bytes) until done; data are views into the bytes given
//
// Threads: values only. Source: RFC 9112; RFC 9110 §5.6, §8.6.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace weft::http {

struct Limits {
    size_t request_line_bytes_max = 16 * 1024;  // longer: 414
    size_t head_bytes_max = 64 * 1024;          // longer: 431
    size_t headers_max = 128;                   // more: 431
    size_t chunk_line_bytes_max = 256;          // size and extensions
    size_t trailer_bytes_max = 8 * 1024;        // longer: 431
};
inline constexpr size_t method_bytes_max = 32;
inline constexpr uint64_t body_bytes_max = uint64_t(1) << 62;  // larger lengths are nonsense: 413

struct Rejection {
    int status = 0;  // 0 = none
    std::string why;

    bool operator==(const Rejection&) const = default;
};

enum class Progress : uint8_t { need_more, done, rejected };

// The part that requests and responses share: cutting lines, checking characters, collecting headers.
class HeadParser {
public:
    size_t consumed() const { return line_; }  // bytes of the head, once done
    const Framing& framing() const { return framing_; }
    const Rejection& rejection() const { return rejection_; }
    bool started() const { return scanned_ > 0; }
    void reset();

protected:
    explicit HeadParser(const Limits& limits) : limits_(limits) {}

    // The next whole line after line_, without its CRLF; moves line_. `limit`: bytes that the line may have.
    Progress next_line(std::string_view bytes, size_t limit, int status_too_long, std::string_view& line);
    Progress parse_headers(std::string_view bytes, Headers& out);
    Progress reject(int status, std::string why);

    Limits limits_;
    Framing framing_;
    Rejection rejection_;
    size_t scanned_ = 0;  // bytes already looked at
    size_t line_ = 0;     // where the current line begins
    bool start_line_done_ = false;
    bool empty_line_skipped_ = false;
};

class RequestParser : public HeadParser {
public:
    explicit RequestParser(const Limits& limits = {}) : HeadParser(limits) {}
    // `bytes` is everything received since the first byte of this head; call again with more after need_more.
    Progress parse(std::string_view bytes, RequestHead& out);

private:
    Progress parse_request_line(std::string_view line, RequestHead& out);
    Progress check(const RequestHead& head);
};

class ResponseParser : public HeadParser {
public:
    explicit ResponseParser(const Limits& limits = {}) : HeadParser(limits) {}
    // `request_method` decides whether a body follows (HEAD has none). 1xx heads are reported like any other.
    // `rejection()` of a response always says 502.
    Progress parse(std::string_view bytes, std::string_view request_method, ResponseHead& out);
};

class BodyReader {
public:
    BodyReader() = default;
    explicit BodyReader(const Framing& framing, const Limits& limits = {}) { start(framing, limits); }
    void start(const Framing& framing, const Limits& limits = {});

    struct Step {
        Progress progress = Progress::need_more;
        size_t consumed = 0;    // drop so many bytes before the next call
        std::string_view data;  // payload, a view into the bytes given; may be empty
    };
    // One step. need_more with consumed > 0 or data: call again at once with the rest; with neither: more bytes are
    // needed.
    Step next(std::string_view bytes);
    // The stream ended: fine for until_close, truncated otherwise (false).
    bool end_of_stream();

    bool done() const { return state_ == State::done; }
    const Rejection& rejection() const { return rejection_; }
    const Headers& trailers() const { return trailers_; }
    const Framing& framing() const { return framing_; }

private:
    enum class State : uint8_t { payload, chunk_size, chunk_data, chunk_end, trailers, done, rejected };
    Step chunk_size_step(std::string_view bytes);
    Step trailer_step(std::string_view bytes);
    Step reject(int status, std::string why);

    Limits limits_;
    Framing framing_;
    State state_ = State::done;
    uint64_t left_ = 0;  // of the body, or of the current chunk
    size_t trailer_bytes_ = 0;
    Headers trailers_;
    Rejection rejection_;
};

// Whether bytes may stand in a header name (token) or value.
bool is_token(std::string_view text);
bool is_field_value(std::string_view text);
// The parts of a list-valued field's lines, trimmed, empty ones dropped, in order.
std::vector<std::string_view> list_members(const Headers& headers, std::string_view name);

// The writer trusts names and values to be valid (ENSUREd by is_token / is_field_value in Headers users that take
// outside input); framing headers are the caller's business.
void append_head(std::string& out, const RequestHead& head);
void append_head(std::string& out, const ResponseHead& head);
void append_chunk(std::string& out, std::string_view data);  // nothing for empty data: that would end the body
void append_last_chunk(std::string& out, const Headers& trailers = {});

}  // namespace weft::http
