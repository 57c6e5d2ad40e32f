#include "apiserver/splice.h"

#include <fmt/format.h>

#include <thread>

#include "apiserver/negotiate.h"
#include "http/h1.h"
#include "http/websocket.h"
#include "io/socket.h"

namespace weft::apiserver {

static constexpr auto quiet_check_period =
    std::chrono::seconds(2);  // how soon a client that left a quiet log is noticed
static constexpr auto answer_timeout = std::chrono::seconds(30);
static constexpr size_t buffer_bytes = 16 * 1024;
static constexpr size_t refusal_bytes_max = 64 * 1024;

namespace {

// The runtime's answer: its head, and what came behind it.
struct Upstream {
    std::unique_ptr<io::Stream> stream;
    http::ResponseHead head;
    http::BodyReader body;
    std::string rest;
};

Result<Upstream> ask(const SpliceTarget& to, http::RequestHead head) {
    Upstream upstream;
    upstream.stream = io::plain_stream(TRY(io::connect_unix(to.socket)));
    upstream.stream->set_timeouts(answer_timeout, answer_timeout);
    head.method = "GET";
    head.target = to.target;
    head.headers.set("Host", "runtime");
    std::string out;
    http::append_head(out, head);
    TRY(upstream.stream->write(out));
    http::ResponseParser parser;
    char buffer[buffer_bytes];
    while (true) {
        const size_t size = TRY(upstream.stream->read(buffer));
        if (size == 0) return fail(Code::unavailable, "the runtime closed the connection");
        upstream.rest.append(buffer, size);
        const http::Progress progress = parser.parse(upstream.rest, "GET", upstream.head);
        if (progress == http::Progress::rejected) return fail(Code::invalid, parser.rejection().why);
        if (progress != http::Progress::done) continue;
        upstream.rest.erase(0, parser.consumed());
        upstream.body.start(parser.framing());
        return upstream;
    }
}

// Payload of the runtime's body, piece by piece, until its end or `take` says no. `idle` is asked when nothing comes.
Status read_body(Upstream& upstream, const std::function<bool(std::string_view)>& take,
                 const std::function<bool()>& idle) {
    char buffer[buffer_bytes];
    while (!upstream.body.done()) {
        const http::BodyReader::Step step = upstream.body.next(upstream.rest);
        if (step.progress == http::Progress::rejected) return fail(Code::invalid, upstream.body.rejection().why);
        if (!step.data.empty() && !take(step.data)) return {};
        upstream.rest.erase(0, step.consumed);
        if (step.progress == http::Progress::done) return {};
        if (step.consumed > 0) continue;
        const auto size = upstream.stream->read(buffer);
        if (!size && size.error().code == Code::timeout && idle()) continue;
        if (!size) return fail(size.error());
        if (*size == 0)
            return upstream.body.end_of_stream() ? Status() : fail(Code::unavailable, "the log was cut short");
        upstream.rest.append(buffer, *size);
    }
    return {};
}

void pass_refusal(Upstream& upstream, http::Exchange& exchange) {
    std::string body;
    (void)read_body(
        upstream, [&](std::string_view data) { return body.append(data).size() < refusal_bytes_max; },
        [] { return false; });
    (void)exchange.respond(upstream.head.status, upstream.head.headers.get("Content-Type", "text/plain"), body);
}

Failure dial_failure(const Error& error) {
    return Failure(Refusal{500,
                           "InternalError",
                           "Internal error occurred: error dialing backend: " + error.message,
                           {{"", "", error.message}}});
}

void copy(io::Stream& from, io::Stream& to) {
    char buffer[buffer_bytes];
    while (true) {
        const auto size = from.read(buffer);
        if (!size || *size == 0 || !to.write({buffer, *size})) return;
    }
}

}  // namespace

void send_failure(const Failure& failure, const Call& call, http::Exchange& exchange) {
    const Reply reply = failure_reply(failure, call);
    (void)exchange.respond(reply.status, reply.content_type, reply.body);
}

void relay_log(const SpliceTarget& to, const Call& call, http::Exchange& exchange) {
    auto upstream = ask(to, {});
    if (!upstream) return send_failure(dial_failure(upstream.error()), call, exchange);
    if (upstream->head.status != 200) return pass_refusal(*upstream, exchange);
    http::ResponseHead head;
    head.headers.add("Content-Type", "text/plain");
    if (!exchange.start(std::move(head))) return;
    upstream->stream->set_timeouts(quiet_check_period, answer_timeout);
    (void)read_body(
        *upstream, [&](std::string_view data) { return bool(exchange.write(data)); },
        [&] { return !exchange.client_gone() && !exchange.stop().stop_requested(); });
}

void splice_exec(const SpliceTarget& to, const Call& call, const http::Request& request, http::Exchange& exchange) {
    if (const Status upgrade = http::check_upgrade(request.head); !upgrade) {
        const bool asks = request.headers().has("Upgrade");
        if (asks && !to.not_running.empty())
            return send_failure(Failure(Refusal{400, "BadRequest", to.not_running, {}}), call, exchange);
        const std::string why = asks ? "unable to upgrade: only WebSocket is spoken here: " + upgrade.error().message
                                     : "unable to upgrade: missing upgrade headers in request";
        return send_failure(Failure(Refusal{400, "BadRequest", why, {}}), call, exchange);
    }
    http::RequestHead head;
    for (const http::Header& header : request.headers()) {
        const std::string name(header.name);
        const bool of_upgrade = strncasecmp(name.c_str(), "sec-websocket-", 14) == 0 ||
                                strcasecmp(name.c_str(), "upgrade") == 0 || strcasecmp(name.c_str(), "connection") == 0;
        if (of_upgrade) head.headers.add(header.name, header.value);
    }
    auto upstream = ask(to, std::move(head));
    if (!upstream) return send_failure(dial_failure(upstream.error()), call, exchange);
    if (upstream->head.status != 101) return pass_refusal(*upstream, exchange);
    auto client = exchange.take_over(upstream->head);
    if (!client) return;
    io::Stream& runtime = *upstream->stream;
    runtime.set_timeouts(io::no_timeout, io::no_timeout);
    if (!upstream->rest.empty() && !(*client)->write(upstream->rest)) return;
    std::jthread back([&] {
        copy(runtime, **client);
        (*client)->shutdown();
    });
    copy(**client, runtime);
    runtime.shutdown();
}

}  // namespace weft::apiserver
