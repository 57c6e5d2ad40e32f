// BodyReader: see h1.h. The states are the grammar of RFC 9112 §7.1: size line, data, CRLF, ..., 0, trailers, empty
// line.
#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "http/h1.h"

namespace weft::http {

namespace {

// Where the line ends (index of CR), or npos; `bad` when a lone CR or LF, or another control character, stands before.
size_t find_line_end(std::string_view bytes, bool& bad) {
    for (size_t i = 0; i < bytes.size(); ++i) {
        const auto c = uint8_t(bytes[i]);
        if ((c >= 0x20 && c != 0x7f) || c == '\t') continue;
        if (c == '\r' && i + 1 == bytes.size()) return std::string_view::npos;
        if (c == '\r' && bytes[i + 1] == '\n') return i;
        bad = true;
        return std::string_view::npos;
    }
    return std::string_view::npos;
}

// Framing and routing are never decided behind the body (RFC 9110 §6.5.1).
bool forbidden_in_trailers(std::string_view name) {
    for (const std::string_view one : {"transfer-encoding", "content-length", "host", "connection", "trailer", "te",
                                       "upgrade", "authorization", "content-encoding", "content-type", "content-range",
                                       "set-cookie", "expect", "keep-alive", "proxy-authorization"}) {
        if (equals_ignoring_case(name, one)) return true;
    }
    return false;
}

}  // namespace

void BodyReader::start(const Framing& framing, const Limits& limits) {
    limits_ = limits;
    framing_ = framing;
    left_ = framing.length;
    trailer_bytes_ = 0;
    trailers_.clear();
    rejection_ = {};
    switch (framing.kind) {
        case Framing::Kind::none: state_ = State::done; break;
        case Framing::Kind::length: state_ = left_ == 0 ? State::done : State::payload; break;
        case Framing::Kind::until_close: state_ = State::payload; break;
        case Framing::Kind::chunked: state_ = State::chunk_size; break;
    }
}

BodyReader::Step BodyReader::reject(int status, std::string why) {
    rejection_ = {status, std::move(why)};
    state_ = State::rejected;
    return {Progress::rejected, 0, {}};
}

BodyReader::Step BodyReader::next(std::string_view bytes) {
    switch (state_) {
        case State::done: return {Progress::done, 0, {}};
        case State::rejected: return {Progress::rejected, 0, {}};
        case State::payload: {
            if (framing_.kind == Framing::Kind::until_close) return {Progress::need_more, bytes.size(), bytes};
            const auto data = bytes.substr(0, size_t(std::min<uint64_t>(left_, bytes.size())));
            left_ -= data.size();
            if (left_ == 0) state_ = State::done;
            return {left_ == 0 ? Progress::done : Progress::need_more, data.size(), data};
        }
        case State::chunk_size: return chunk_size_step(bytes);
        case State::chunk_data: {
            const auto data = bytes.substr(0, size_t(std::min<uint64_t>(left_, bytes.size())));
            left_ -= data.size();
            if (left_ == 0) state_ = State::chunk_end;
            return {Progress::need_more, data.size(), data};
        }
        case State::chunk_end:
            if (!bytes.empty() && bytes[0] != '\r') return reject(400, "chunk data longer than its size");
            if (bytes.size() < 2) return {};
            if (bytes[1] != '\n') return reject(400, "chunk data longer than its size");
            state_ = State::chunk_size;
            return {Progress::need_more, 2, {}};
        case State::trailers: return trailer_step(bytes);
    }
    return {};
}

BodyReader::Step BodyReader::chunk_size_step(std::string_view bytes) {
    bool bad = false;
    const size_t end = find_line_end(bytes, bad);
    if (bad) return reject(400, "malformed chunk size line");
    if (std::min(end, bytes.size()) > limits_.chunk_line_bytes_max) return reject(400, "chunk size line too long");
    if (end == std::string_view::npos) return {};
    auto digits = bytes.substr(0, end);
    // Extensions are dropped, but only behind a ';' (RFC 9112 §7.1.1); space around it is "bad whitespace", refused.
    if (const size_t semicolon = digits.find(';'); semicolon != std::string_view::npos)
        digits = digits.substr(0, semicolon);
    uint64_t size = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
    if (digits.empty() || error != std::errc() || stop != digits.data() + digits.size())
        return reject(400, "malformed chunk size");
    if (digits.size() > 16 || size > body_bytes_max) return reject(413, "chunk too large");
    left_ = size;
    state_ = size == 0 ? State::trailers : State::chunk_data;
    return {Progress::need_more, end + 2, {}};
}

BodyReader::Step BodyReader::trailer_step(std::string_view bytes) {
    bool bad = false;
    const size_t end = find_line_end(bytes, bad);
    if (bad) return reject(400, "control character in a trailer");
    if (trailer_bytes_ + std::min(end, bytes.size()) > limits_.trailer_bytes_max)
        return reject(431, "trailers too large");
    if (end == std::string_view::npos) return {};
    const auto line = bytes.substr(0, end);
    trailer_bytes_ += end + 2;
    if (line.empty()) {
        state_ = State::done;
        return {Progress::done, 2, {}};
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return reject(400, "malformed trailer");
    if (trailers_.size() >= limits_.headers_max) return reject(431, "too many trailers");
    if (!forbidden_in_trailers(line.substr(0, colon)))
        trailers_.add(line.substr(0, colon), trim(line.substr(colon + 1)));
    return {Progress::need_more, end + 2, {}};
}

bool BodyReader::end_of_stream() {
    if (state_ == State::payload && framing_.kind == Framing::Kind::until_close) state_ = State::done;
    return state_ == State::done;
}

}  // namespace weft::http
