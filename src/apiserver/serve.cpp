#include "apiserver/serve.h"

#include <fmt/format.h>

#include "apiserver/compress.h"
#include "apiserver/negotiate.h"
#include "base/strings.h"

namespace weft::apiserver {

namespace {

class ExchangeSink final : public Sink {
public:
    explicit ExchangeSink(http::Exchange& exchange) : exchange_(exchange) {}
    bool write(std::string_view data) override { return bool(exchange_.write(data)); }
    bool gone() override { return exchange_.client_gone(); }
    std::stop_token stop() const override { return exchange_.stop(); }

private:
    http::Exchange& exchange_;
};

constexpr std::string_view extra_prefix = "impersonate-extra-";

Outcome<std::string> read_body(http::Exchange& exchange) {
    auto body = exchange.read_body(json::json_bytes_max);
    if (body) return std::move(*body);
    switch (body.error().code) {
        case Code::exhausted:
            return refuse(413, "RequestEntityTooLarge",
                          fmt::format("Request entity too large: limit is {}", json::json_bytes_max));
        case Code::timeout: return refuse(408, "Timeout", "the request body did not come in time");
        default: return refuse(400, "BadRequest", "the request body is malformed: " + body.error().message);
    }
}

Outcome<Call> read_call(http::Request& request, http::Exchange& exchange) {
    Call call = TRY(Call::parse(request.method(), request.path, request.query));
    const http::Headers& headers = request.headers();
    call.content_type = headers.get("Content-Type");
    call.user_agent = headers.get("User-Agent");
    call.if_none_match = headers.get("If-None-Match");
    call.authorization = headers.get("Authorization");
    call.impersonate_user = headers.get("Impersonate-User");
    call.impersonate_uid = headers.get("Impersonate-Uid");
    for (const http::Header header : headers) {  // these may come in several lines
        if (equals_ignoring_case(header.name, "impersonate-group")) call.impersonate_groups.emplace_back(header.value);
        call.impersonates_extra |= equals_ignoring_case(header.name.substr(0, extra_prefix.size()), extra_prefix);
        if (!equals_ignoring_case(header.name, "accept")) continue;
        if (!call.accept.empty()) call.accept += ',';
        call.accept += header.value;
    }
    if (!headers.has("Upgrade")) call.body = TRY(read_body(exchange));
    return call;
}

void send(Reply reply, http::Request& request, http::Exchange& exchange) {
    if (reply.take) return reply.take(request, exchange);
    http::ResponseHead head;
    head.status = reply.status;
    head.headers.add("Content-Type", reply.content_type);
    head.headers.add("Cache-Control", "no-cache, private");
    for (const auto& [name, value] : reply.headers) head.headers.set(name, value);
    if (!reply.stream) {
        (void)exchange.respond(std::move(head), reply.body);
        return;
    }
    if (!exchange.start(std::move(head))) return;
    ExchangeSink sink(exchange);
    reply.stream(sink);
}

}  // namespace

void serve(Api& api, http::Request& request, http::Exchange& exchange) {
    auto call = read_call(request, exchange);
    if (!call) {
        const Call nothing;
        return send(failure_reply(call.error(), nothing), request, exchange);
    }
    Reply reply = api.answer(*call);
    compress(reply, request.headers().get("Accept-Encoding"));
    send(std::move(reply), request, exchange);
}

}  // namespace weft::apiserver
