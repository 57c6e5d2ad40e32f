#include "alb/forward.h"

#include <algorithm>

#include "base/strings.h"

namespace weft::alb {

namespace {

using http::Framing;
using http::Version;

void append_header(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    return std::any_of(names.begin(), names.end(), [&](std::string_view n) { return equals_ignoring_case(name, n); });
}

// Only between two neighbours (RFC 9110 §7.6.1); the length decides first, most headers end here.
bool is_hop_by_hop(std::string_view name) {
    switch (name.size()) {
        case 2: return equals_ignoring_case(name, "TE");
        case 7: return equals_ignoring_case(name, "Upgrade");
        case 10: return is_one_of(name, {"Connection", "Keep-Alive"});
        case 14: return equals_ignoring_case(name, "HTTP2-Settings");
        case 16: return equals_ignoring_case(name, "Proxy-Connection");
        case 17: return equals_ignoring_case(name, "Transfer-Encoding");
        default: return false;
    }
}

// What Connection names besides its own words. It may not take away what routing, framing and trust stand on.
bool is_nominated(std::string_view name, const std::vector<std::string_view>& nominated) {
    if (nominated.empty() || is_one_of(name, {"Host", "Content-Length", "Content-Type", "Authorization", "Cookie"}))
        return false;
    return std::any_of(nominated.begin(), nominated.end(),
                       [&](std::string_view n) { return equals_ignoring_case(name, n); });
}

std::vector<std::string_view> nominated_by_connection(const http::Headers& headers) {
    auto nominated = http::list_members(headers, "Connection");
    std::erase_if(nominated, [](std::string_view n) { return is_one_of(n, {"keep-alive", "close", "upgrade"}); });
    return nominated;
}

bool is_ours(std::string_view name) {
    return name.size() > 12 && equals_ignoring_case(name.substr(0, 12), "X-Forwarded-") &&
           is_one_of(name, {"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"});
}

void append_forwarded(std::string& out, const http::RequestHead& request, const RequestContext& context) {
    out.append("X-Forwarded-For: ");
    for (const auto member : http::list_members(request.headers, "X-Forwarded-For")) out.append(member).append(", ");
    out.append(context.client).append("\r\n");
    append_header(out, "X-Forwarded-Proto", context.tls ? "https" : "http");
    if (!context.host.empty()) append_header(out, "X-Forwarded-Host", context.host);
    append_header(out, "X-Forwarded-Port", context.port);
}

}  // namespace

void append_upstream_request(std::string& out, const http::RequestHead& request, const Framing& framing,
                             const RequestContext& context) {
    out.append(request.method).append(" ").append(context.target).append(" HTTP/1.1\r\n");
    append_header(out, "Host", context.host);
    const auto nominated = nominated_by_connection(request.headers);
    for (const auto& [name, value] : request.headers) {
        if (is_hop_by_hop(name) || is_ours(name) || is_nominated(name, nominated)) continue;
        if (is_one_of(name, {"Host", "Content-Length"})) continue;
        append_header(out, name, value);
    }
    if (framing.kind == Framing::Kind::length) append_header(out, "Content-Length", std::to_string(framing.length));
    if (framing.kind == Framing::Kind::chunked) append_header(out, "Transfer-Encoding", "chunked");
    append_forwarded(out, request, context);
    if (context.upgrade) {
        append_header(out, "Connection", "Upgrade");
        append_header(out, "Upgrade", request.headers.get("Upgrade"));
    }
    out.append("\r\n");
}

ResponsePlan plan_response(const Framing& framing, Version client_version, bool keep_alive_wish) {
    ResponsePlan plan{.chunked = false, .keep_alive = keep_alive_wish};
    const bool unknown_length = framing.kind == Framing::Kind::chunked || framing.kind == Framing::Kind::until_close;
    if (unknown_length && client_version == Version::http_1_1) plan.chunked = true;
    if (unknown_length && client_version == Version::http_1_0) plan.keep_alive = false;
    return plan;
}

void append_downstream_response(std::string& out, const http::ResponseHead& response, const Framing& framing,
                                const ResponsePlan& plan, Version client_version) {
    out.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ").append(response.reason).append("\r\n");
    const auto nominated = nominated_by_connection(response.headers);
    for (const auto& [name, value] : response.headers) {
        if (is_hop_by_hop(name) || is_nominated(name, nominated)) continue;
        // Of an answer to HEAD or a 304 the length describes the body that is not sent, and is kept.
        const bool described = framing.kind == Framing::Kind::none && response.status != 204;
        if (!described && equals_ignoring_case(name, "Content-Length")) continue;
        append_header(out, name, value);
    }
    if (framing.kind == Framing::Kind::length) append_header(out, "Content-Length", std::to_string(framing.length));
    if (plan.chunked) append_header(out, "Transfer-Encoding", "chunked");
    if (!plan.keep_alive) {
        append_header(out, "Connection", "close");
    } else if (client_version == Version::http_1_0) {
        append_header(out, "Connection", "keep-alive");
    }
    out.append("\r\n");
}

void append_interim_response(std::string& out, const http::ResponseHead& response) {
    out.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ").append(response.reason).append("\r\n");
    for (const auto& [name, value] : response.headers) {
        if (is_hop_by_hop(name) || is_one_of(name, {"Content-Length"})) continue;
        append_header(out, name, value);
    }
    if (response.status == 101) {
        append_header(out, "Connection", "Upgrade");
        append_header(out, "Upgrade", response.headers.get("Upgrade"));
    }
    out.append("\r\n");
}

void append_local_response(std::string& out, int status, std::string_view why, std::string_view method,
                           bool keep_alive) {
    const std::string body = std::to_string(status) + " " + std::string(why) + "\n";
    http::ResponseHead head{.status = status};
    head.headers.add("Content-Type", "text/plain; charset=utf-8");
    head.headers.add("Content-Length", std::to_string(body.size()));
    head.headers.add("Server", "weft");
    if (status == 503) head.headers.add("Retry-After", "1");
    if (!keep_alive) head.headers.add("Connection", "close");
    http::append_head(out, head);
    if (method != "HEAD") out.append(body);
}

bool wants_upgrade(const http::RequestHead& request, const Framing& framing) {
    return request.method == "GET" && request.version == Version::http_1_1 && framing.kind == Framing::Kind::none &&
           request.headers.lists("Connection", "upgrade") && request.headers.count("Upgrade") == 1 &&
           // h2c would turn this proxy into a blind pipe behind which requests are not routed.
           !request.headers.lists("Upgrade", "h2c");
}

}  // namespace weft::alb
