#include "http/message.h"

#include <algorithm>

#include "base/strings.h"

namespace weft::http {

void Headers::add(std::string_view name, std::string_view value) {
    const auto begin = uint32_t(bytes_.size());
    // A view into ourselves (copying one header under another name) would dangle when bytes_ grows.
    const bool own = name.data() >= bytes_.data() && name.data() < bytes_.data() + bytes_.size();
    const bool own_value = value.data() >= bytes_.data() && value.data() < bytes_.data() + bytes_.size();
    if (own || own_value) {
        const std::string n(name), v(value);
        bytes_.append(n).append(v);
    } else {
        bytes_.append(name).append(value);
    }
    spans_.push_back({begin, uint32_t(name.size()), uint32_t(begin + name.size()), uint32_t(value.size())});
}

void Headers::set(std::string_view name, std::string_view value) {
    remove(name);
    add(name, value);
}

void Headers::remove(std::string_view name) {
    std::erase_if(spans_, [&](const Span& s) { return equals_ignoring_case(name_of(s), name); });
}

void Headers::clear() {
    bytes_.clear();
    spans_.clear();
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
    for (const Span& span : spans_) {
        if (span.name_size == name.size() && equals_ignoring_case(name_of(span), name)) return value_of(span);
    }
    return std::nullopt;
}

size_t Headers::count(std::string_view name) const {
    return size_t(std::count_if(spans_.begin(), spans_.end(),
                                [&](const Span& s) { return equals_ignoring_case(name_of(s), name); }));
}

bool Headers::lists(std::string_view name, std::string_view token) const {
    for (const Span& span : spans_) {
        if (span.name_size != name.size() || !equals_ignoring_case(name_of(span), name)) continue;
        for (const auto part : split(value_of(span), ',')) {
            if (equals_ignoring_case(trim(part), token)) return true;
        }
    }
    return false;
}

Header Headers::operator[](size_t i) const { return {name_of(spans_[i]), value_of(spans_[i])}; }

void RequestHead::clear() {
    method.clear();
    target.clear();
    version = Version::http_1_1;
    headers.clear();
}

void ResponseHead::clear() {
    status = 200;
    reason.clear();
    version = Version::http_1_1;
    headers.clear();
}

std::string_view reason_phrase(int status) {
    switch (status) {
        case 100: return "Continue";
        case 101: return "Switching Protocols";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 206: return "Partial Content";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 411: return "Length Required";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 417: return "Expectation Failed";
        case 422: return "Unprocessable Content";
        case 426: return "Upgrade Required";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        default: return "";
    }
}

bool wants_keep_alive(Version version, const Headers& headers) {
    if (headers.lists("Connection", "close")) return false;
    return version == Version::http_1_1 || headers.lists("Connection", "keep-alive");
}

bool is_idempotent(std::string_view method) {
    return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" || method == "OPTIONS" ||
           method == "TRACE";
}

}  // namespace weft::http
