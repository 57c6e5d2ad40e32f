#include "apiserver/call.h"

#include "base/strings.h"

namespace weft::apiserver {

Outcome<Call> Call::parse(std::string_view method, std::string_view path, std::string_view query) {
    Call call;
    call.method = method;
    call.path = path;
    if (!path.starts_with('/')) return refuse(400, "BadRequest", "the request path must begin with /");
    if (path != "/") {
        for (const std::string_view part : split(path.substr(1), '/')) {
            auto decoded = http::percent_decode(part);
            if (!decoded) return refuse(400, "BadRequest", "the request path has a malformed percent sequence");
            call.segments.push_back(std::move(*decoded));
        }
    }
    auto parsed = http::Query::parse(query);
    if (!parsed) return refuse(400, "BadRequest", "the query string has a malformed percent sequence");
    call.query = std::move(*parsed);
    return call;
}

Reply Reply::text(int status, std::string body) {
    return {.status = status, .content_type = "text/plain; charset=utf-8", .body = std::move(body)};
}

}  // namespace weft::apiserver
