#include "http/url.h"

#include <algorithm>

#include "base/strings.h"

namespace weft::http {

namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool is_unreserved(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

std::optional<std::string> decode(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out.push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        const int high = hex_digit(text[i + 1]);
        const int low = hex_digit(text[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        out.push_back(char(high * 16 + low));
        i += 2;
    }
    return out;
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text) { return decode(text, false); }

std::string percent_encode(std::string_view text) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (is_unreserved(c)) {
            out.push_back(c);
        } else {
            out.push_back('%');
            out.push_back(digits[uint8_t(c) >> 4]);
            out.push_back(digits[uint8_t(c) & 15]);
        }
    }
    return out;
}

std::optional<Target> split_target(std::string_view target) {
    Target out;
    if (target == "*") {
        out.path = target;
        return out;
    }
    if (!target.starts_with('/')) {
        const size_t scheme = target.find("://");
        if (scheme == std::string_view::npos) return std::nullopt;
        const auto name = target.substr(0, scheme);
        if (!equals_ignoring_case(name, "http") && !equals_ignoring_case(name, "https")) return std::nullopt;
        target.remove_prefix(scheme + 3);
        out.authority = target.substr(0, target.find_first_of("/?"));
        target.remove_prefix(out.authority.size());
        if (!split_authority(out.authority)) return std::nullopt;
    }
    const size_t mark = target.find('?');
    out.path = target.substr(0, mark);
    if (out.path.empty()) out.path = "/";  // "http://host" and "http://host?q"
    if (mark != std::string_view::npos) {
        out.has_query = true;
        out.query = target.substr(mark + 1);
    }
    return out;
}

std::optional<Query> Query::parse(std::string_view text) {
    Query query;
    if (text.empty()) return query;
    for (const auto part : split(text, '&')) {
        if (part.empty()) continue;
        const size_t equals = part.find('=');
        auto name = decode(part.substr(0, equals), true);
        auto value = decode(equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1), true);
        if (!name || !value) return std::nullopt;
        query.items_.emplace_back(std::move(*name), std::move(*value));
    }
    return query;
}

std::optional<std::string_view> Query::find(std::string_view name) const {
    for (const auto& [n, value] : items_) {
        if (n == name) return value;
    }
    return std::nullopt;
}

std::vector<std::string_view> Query::all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const auto& [n, value] : items_) {
        if (n == name) values.push_back(value);
    }
    return values;
}

bool Query::flag(std::string_view name) const {
    const auto value = find(name);
    return value && (value->empty() || *value == "1" || equals_ignoring_case(*value, "true"));
}

std::optional<Authority> split_authority(std::string_view text) {
    Authority out;
    if (text.starts_with('[')) {
        const size_t close = text.find(']');
        if (close == std::string_view::npos || close < 3) return std::nullopt;
        out.host = text.substr(0, close + 1);
        const auto inner = text.substr(1, close - 1);
        if (!std::all_of(inner.begin(), inner.end(),
                         [](char c) { return hex_digit(c) >= 0 || c == ':' || c == '.'; })) {
            return std::nullopt;
        }
    } else {
        out.host = text.substr(0, text.find(':'));
        // RFC 3986 reg-name without percent-encoding, which no DNS name needs and which would hide one name behind
        // another.
        const auto ok = [](char c) {
            return is_unreserved(c) || std::string_view("!$&'()*+,;=").find(c) != std::string_view::npos;
        };
        if (out.host.empty() || !std::all_of(out.host.begin(), out.host.end(), ok)) return std::nullopt;
    }
    const auto rest = text.substr(out.host.size());
    if (rest.empty()) return out;
    if (rest.front() != ':') return std::nullopt;
    out.port = rest.substr(1);
    if (out.port.empty()) return out;  // "host:" is allowed by the grammar
    const auto port = parse_unsigned(out.port);
    if (!port || *port > 65535) return std::nullopt;
    return out;
}

}  // namespace weft::http
