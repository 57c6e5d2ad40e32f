// Fuzz: HTTP/1.1 heads and bodies. The first byte chooses the way of feeding. Held: feeding in pieces and at once
// agree; what was accepted, written and read again is the same; nothing is consumed beyond the input.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/h1.h"
#include "http/url.h"

namespace {

using namespace weft::http;

Limits small_limits() { return {.request_line_bytes_max = 512, .head_bytes_max = 2048, .headers_max = 16}; }

Progress parse(std::string_view bytes, size_t step, RequestHead& head, size_t& consumed, Framing& framing,
               Rejection& why) {
    RequestParser parser(small_limits());
    Progress progress = Progress::need_more;
    for (size_t n = std::min(step, bytes.size()); progress == Progress::need_more;
         n = std::min(n + step, bytes.size())) {
        progress = parser.parse(bytes.substr(0, n), head);
        if (n == bytes.size()) break;
    }
    consumed = parser.consumed();
    framing = parser.framing();
    why = parser.rejection();
    return progress;
}

void read_body(const Framing& framing, std::string_view bytes) {
    BodyReader body(framing, small_limits());
    size_t total = 0;
    for (;;) {
        const auto step = body.next(bytes);
        ENSURE(step.consumed <= bytes.size());
        total += step.data.size();
        bytes.remove_prefix(step.consumed);
        if (step.progress != Progress::need_more || step.consumed == 0) break;
    }
    if (framing.kind == Framing::Kind::length) ENSURE(total <= framing.length);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const size_t step = data[0] % 16 + 1;

    RequestHead whole, pieces;
    size_t whole_consumed = 0, pieces_consumed = 0;
    Framing framing, framing_of_pieces;
    Rejection why, why_of_pieces;
    const Progress progress = parse(bytes, bytes.size() + 1, whole, whole_consumed, framing, why);
    const Progress by_pieces = parse(bytes, step, pieces, pieces_consumed, framing_of_pieces, why_of_pieces);
    ENSURE(progress == by_pieces && why.status == why_of_pieces.status);
    if (progress == Progress::done) {
        ENSURE(whole_consumed == pieces_consumed && framing == framing_of_pieces && whole_consumed <= bytes.size());
        ENSURE(weft::http::split_target(whole.target) || whole.target == "*");
        std::string written;
        append_head(written, whole);
        RequestHead again;
        Framing framing_again;
        size_t consumed_again = 0;
        Rejection why_again;
        ENSURE(parse(written, written.size() + 1, again, consumed_again, framing_again, why_again) == Progress::done ||
               why_again.status == 431 || why_again.status == 414);
        read_body(framing, bytes.substr(whole_consumed));
    }

    ResponseParser parser(small_limits());
    ResponseHead response;
    if (parser.parse(bytes, data[0] & 1 ? "HEAD" : "GET", response) == Progress::done) {
        read_body(parser.framing(), bytes.substr(parser.consumed()));
    }
    read_body({Framing::Kind::chunked, 0}, bytes);
    (void)Query::parse(bytes);
    return 0;
}
