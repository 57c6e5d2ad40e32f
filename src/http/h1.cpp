#include "http/h1.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/strings.h"
#include "http/url.h"

namespace weft::http {

namespace {

// One table, one look per byte. RFC 9110 §5.6.2 (token), §5.5 (field values), RFC 3986 (targets: visible ASCII).
enum CharClass : uint8_t { token_char = 1, value_char = 2, target_char = 4 };

constexpr std::array<uint8_t, 256> char_classes = [] {
    std::array<uint8_t, 256> table{};
    for (unsigned c = 0; c < 256; ++c) {
        const bool visible = c > 0x20 && c < 0x7f;
        const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool token = alnum || std::string_view("!#$%&'*+-.^_`|~").find(char(c)) != std::string_view::npos;
        table[c] =
            uint8_t((token && c != 0 ? token_char : 0) |
                    (visible || c == ' ' || c == '\t' || c >= 0x80 ? value_char : 0) | (visible ? target_char : 0));
    }
    return table;
}();

bool all_of_class(std::string_view text, CharClass wanted) {
    return std::all_of(text.begin(), text.end(), [&](char c) { return (char_classes[uint8_t(c)] & wanted) != 0; });
}

std::string_view trim_ows(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// Digits only; nullopt also when it does not fit.
std::optional<uint64_t> parse_length(std::string_view text) {
    if (text.empty() || text.size() > 20) return std::nullopt;
    return parse_unsigned(text);
}

struct FramingAnswer {
    Framing framing;
    Rejection rejection;
};

// What Content-Length and Transfer-Encoding say together; the same for requests and responses (RFC 9112 §6).
FramingAnswer read_framing(const Headers& headers, Version version) {
    const size_t lengths = headers.count("Content-Length");
    const size_t codings = headers.count("Transfer-Encoding");
    if (codings > 0) {
        if (lengths > 0) return {{}, {400, "both Content-Length and Transfer-Encoding"}};
        if (version == Version::http_1_0) return {{}, {400, "Transfer-Encoding in HTTP/1.0"}};
        const auto list = list_members(headers, "Transfer-Encoding");
        if (list.empty() || !equals_ignoring_case(list.back(), "chunked")) {
            return {{}, {400, "the last transfer coding is not chunked"}};
        }
        for (size_t i = 0; i + 1 < list.size(); ++i) {
            if (equals_ignoring_case(list[i], "chunked")) return {{}, {400, "chunked is named twice"}};
        }
        if (list.size() > 1) return {{}, {501, "a transfer coding besides chunked"}};
        return {{Framing::Kind::chunked, 0}, {}};
    }
    if (lengths == 0) return {};
    if (lengths > 1) return {{}, {400, "more than one Content-Length"}};
    const auto length = parse_length(headers.get("Content-Length"));
    if (!length) return {{}, {400, "Content-Length is not a number"}};
    if (*length > body_bytes_max) return {{}, {413, "Content-Length is too large"}};
    return {{Framing::Kind::length, *length}, {}};
}

// "HTTP/1.1" → version; other well-formed versions 505, anything else 400.
int parse_version(std::string_view text, Version& out) {
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    if (text.size() != 8 || !text.starts_with("HTTP/") || !digit(text[5]) || text[6] != '.' || !digit(text[7]))
        return 400;
    if (text[5] != '1') return 505;
    out = text[7] == '0' ? Version::http_1_0 : Version::http_1_1;
    return 0;
}

}  // namespace

bool is_token(std::string_view text) { return !text.empty() && all_of_class(text, token_char); }

bool is_field_value(std::string_view text) { return all_of_class(text, value_char); }

std::vector<std::string_view> list_members(const Headers& headers, std::string_view name) {
    std::vector<std::string_view> members;
    for (const auto& header : headers) {
        if (!equals_ignoring_case(header.name, name)) continue;
        for (const auto part : split(header.value, ',')) {
            if (const auto member = trim_ows(part); !member.empty()) members.push_back(member);
        }
    }
    return members;
}

void HeadParser::reset() {
    framing_ = {};
    rejection_ = {};
    scanned_ = line_ = 0;
    start_line_done_ = empty_line_skipped_ = false;
}

Progress HeadParser::reject(int status, std::string why) {
    rejection_ = {status, std::move(why)};
    return Progress::rejected;
}

Progress HeadParser::next_line(std::string_view bytes, size_t limit, int status_too_long, std::string_view& line) {
    // Control characters end the scan: the only one allowed (but HTAB) is CR with LF right behind it.
    const char* const begin = bytes.data();
    const char* at = begin + scanned_;
    const char* const end = begin + bytes.size();
    while (at < end && (uint8_t(*at) >= 0x20 || *at == '\t') && *at != 0x7f) ++at;
    scanned_ = size_t(at - begin);
    if (scanned_ - line_ > limit)
        return reject(status_too_long, status_too_long == 414 ? "request line too long" : "head too large");
    if (at == end) return Progress::need_more;
    if (*at != '\r')
        return reject(400, *at == '\n' ? "line feed without carriage return" : "control character in the head");
    if (at + 1 == end) return Progress::need_more;
    if (at[1] != '\n') return reject(400, "carriage return without line feed");
    line = bytes.substr(line_, scanned_ - line_);
    scanned_ += 2;
    line_ = scanned_;
    return Progress::done;
}

Progress HeadParser::parse_headers(std::string_view bytes, Headers& out) {
    for (;;) {
        std::string_view line;
        const size_t used = std::min(line_, limits_.head_bytes_max);
        if (const auto progress = next_line(bytes, limits_.head_bytes_max - used, 431, line);
            progress != Progress::done) {
            return progress;
        }
        if (line.empty()) return Progress::done;
        if (line.front() == ' ' || line.front() == '\t') return reject(400, "folded header line");
        const size_t colon = line.find(':');
        if (colon == std::string_view::npos) return reject(400, "header line without a colon");
        const auto name = line.substr(0, colon);
        if (!is_token(name)) return reject(400, "invalid character in a header name");
        const auto value = trim_ows(line.substr(colon + 1));
        // Control characters ended the scan already, so the value holds none.
        if (out.size() >= limits_.headers_max) return reject(431, "too many headers");
        out.add(name, value);
    }
}

Progress RequestParser::parse(std::string_view bytes, RequestHead& out) {
    while (!start_line_done_) {
        std::string_view line;
        if (const auto progress = next_line(bytes, limits_.request_line_bytes_max, 414, line);
            progress != Progress::done) {
            return progress;
        }
        if (line.empty() && !empty_line_skipped_) {  // RFC 9112 §2.2: one is forgiven
            empty_line_skipped_ = true;
            continue;
        }
        if (const auto progress = parse_request_line(line, out); progress != Progress::done) return progress;
        start_line_done_ = true;
    }
    if (const auto progress = parse_headers(bytes, out.headers); progress != Progress::done) return progress;
    return check(out);
}

Progress RequestParser::parse_request_line(std::string_view line, RequestHead& out) {
    const size_t first = line.find(' ');
    if (first == std::string_view::npos) return reject(400, "malformed request line");
    const size_t second = line.find(' ', first + 1);
    if (second == std::string_view::npos) return reject(400, "malformed request line");
    const auto method = line.substr(0, first);
    const auto target = line.substr(first + 1, second - first - 1);
    if (!is_token(method)) return reject(400, "invalid character in the method");
    if (method.size() > method_bytes_max) return reject(501, "unknown method");
    if (const int status = parse_version(line.substr(second + 1), out.version); status != 0) {
        return reject(status, status == 505 ? "HTTP version not supported" : "malformed HTTP version");
    }
    if (target.empty() || !all_of_class(target, target_char) || target.find('#') != std::string_view::npos) {
        return reject(400, "invalid request target");
    }
    if (method == "CONNECT") return reject(501, "CONNECT is not offered");
    if (target == "*" ? method != "OPTIONS" : !split_target(target)) return reject(400, "invalid request target");
    out.method = method;
    out.target = target;
    return Progress::done;
}

Progress RequestParser::check(const RequestHead& head) {
    const size_t hosts = head.headers.count("Host");
    if (hosts > 1) return reject(400, "more than one Host");
    if (hosts == 0 && head.version == Version::http_1_1) return reject(400, "no Host");
    if (hosts == 1 && !head.headers.get("Host").empty() && !split_authority(head.headers.get("Host"))) {
        return reject(400, "malformed Host");
    }
    auto [framing, rejection] = read_framing(head.headers, head.version);
    if (rejection.status != 0) return reject(rejection.status, std::move(rejection.why));
    framing_ = framing;
    return Progress::done;
}

Progress ResponseParser::parse(std::string_view bytes, std::string_view request_method, ResponseHead& out) {
    const auto bad = [this](std::string why) { return reject(502, std::move(why)); };
    if (!start_line_done_) {
        std::string_view line;
        if (const auto progress = next_line(bytes, limits_.request_line_bytes_max, 431, line);
            progress != Progress::done) {
            if (progress == Progress::rejected) rejection_.status = 502;
            return progress;
        }
        const auto digit = [](char c) { return c >= '0' && c <= '9'; };
        if (line.size() < 12 || parse_version(line.substr(0, 8), out.version) != 0 || line[8] != ' ' ||
            !digit(line[9]) || !digit(line[10]) || !digit(line[11]) || (line.size() > 12 && line[12] != ' ')) {
            return bad("malformed status line");
        }
        out.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
        if (out.status < 100 || out.status > 599) return bad("status out of range");
        out.reason = line.size() > 13 ? line.substr(13) : "";
        start_line_done_ = true;
    }
    if (const auto progress = parse_headers(bytes, out.headers); progress != Progress::done) {
        if (progress == Progress::rejected) rejection_.status = 502;
        return progress;
    }
    auto [framing, rejection] = read_framing(out.headers, out.version);
    if (rejection.status != 0) return bad(std::move(rejection.why));
    if (framing.kind == Framing::Kind::none) framing.kind = Framing::Kind::until_close;
    if (request_method == "HEAD" || out.status < 200 || out.status == 204 || out.status == 304) framing = {};
    framing_ = framing;
    return Progress::done;
}

void append_head(std::string& out, const RequestHead& head) {
    out.append(head.method).append(" ").append(head.target);
    out.append(head.version == Version::http_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
    for (const auto& [name, value] : head.headers) out.append(name).append(": ").append(value).append("\r\n");
    out.append("\r\n");
}

void append_head(std::string& out, const ResponseHead& head) {
    std::array<char, 4> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), head.status).ptr;
    out.append(head.version == Version::http_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ").append(digits.data(), end).append(" ");
    out.append(head.reason.empty() ? reason_phrase(head.status) : std::string_view(head.reason)).append("\r\n");
    for (const auto& [name, value] : head.headers) out.append(name).append(": ").append(value).append("\r\n");
    out.append("\r\n");
}

void append_chunk(std::string& out, std::string_view data) {
    if (data.empty()) return;
    std::array<char, 16> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), data.size(), 16).ptr;
    out.append(digits.data(), end).append("\r\n").append(data).append("\r\n");
}

void append_last_chunk(std::string& out, const Headers& trailers) {
    out.append("0\r\n");
    for (const auto& [name, value] : trailers) out.append(name).append(": ").append(value).append("\r\n");
    out.append("\r\n");
}

}  // namespace weft::http
