#include "http/client.h"

#include "http/h1.h"
#include "io/buffer.h"

namespace weft::http {

namespace {

constexpr size_t read_bytes = 16 * 1024;

// false at the end of the stream.
Result<bool> read_more(io::Stream& stream, io::Buffer& received) {
    const size_t n = TRY(stream.read(received.prepare(read_bytes)));
    received.commit(n);
    return n > 0;
}

Result<std::string> read_body(io::Stream& stream, io::Buffer& received, BodyReader& body, size_t bytes_max) {
    std::string out;
    for (;;) {
        const auto step = body.next(received.view());
        if (step.progress == Progress::rejected) return fail(Code::invalid, "response body: " + body.rejection().why);
        if (out.size() + step.data.size() > bytes_max) {
            return fail(Code::exhausted, fmt::format("response body: more than {} bytes", bytes_max));
        }
        out.append(step.data);
        received.consume(step.consumed);
        if (step.progress == Progress::done) return out;
        if (step.consumed > 0) continue;
        if (!TRY(read_more(stream, received))) {
            if (body.end_of_stream()) return out;
            return fail(Code::unavailable, "response body: the connection ended early");
        }
    }
}

}  // namespace

Result<Response> round_trip(io::Stream& stream, RequestHead head, std::string_view body, size_t body_bytes_max) {
    if (!body.empty()) head.headers.set("Content-Length", std::to_string(body.size()));
    std::string out;
    append_head(out, head);
    out.append(body);
    // A server may answer and close before it has taken a large body: look for the answer anyway.
    const Status sent = stream.write(out);
    io::Buffer received;
    Response response;
    for (;;) {
        ResponseParser parser;
        response.head.clear();
        for (;;) {
            const auto progress = parser.parse(received.view(), head.method, response.head);
            if (progress == Progress::done) break;
            if (progress == Progress::rejected) return fail(Code::invalid, "response: " + parser.rejection().why);
            const auto more = read_more(stream, received);
            if (!more) return fail(sent ? more.error() : sent.error());
            if (!*more) {
                if (!sent) return fail(sent.error());
                return fail(Code::unavailable, "response: the connection ended before an answer");
            }
        }
        received.consume(parser.consumed());
        if (response.head.status == 101) {
            response.early = std::string(received.view());
            return response;
        }
        if (response.head.status < 200) continue;
        BodyReader reader(parser.framing());
        response.body = TRY(read_body(stream, received, reader, body_bytes_max));
        return response;
    }
}

}  // namespace weft::http
