#include "base/strings.h"

#include <charconv>

namespace weft {

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const size_t at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) return parts;
        text.remove_prefix(at + 1);
    }
}

std::string_view trim(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    const size_t last = text.find_last_not_of(" \t\r\n");
    return text.substr(first, last - first + 1);
}

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> list;
    for (const std::string_view part : split(text, ',')) {
        const std::string_view word = trim(part);
        if (!word.empty()) list.emplace_back(word);
    }
    return list;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; }

std::string to_lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = lower(c);
    return out;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); i++)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

std::optional<uint64_t> parse_unsigned(std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

static bool is_lower_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_dns1123_label(std::string_view text) {
    if (text.empty() || text.size() > 63) return false;
    for (const char c : text)
        if (!is_lower_alphanumeric(c) && c != '-') return false;
    return text.front() != '-' && text.back() != '-';
}

bool is_dns1123_subdomain(std::string_view text) {
    if (text.empty() || text.size() > 253) return false;
    for (const std::string_view label : split(text, '.')) {
        if (label.empty() || label.front() == '-' || label.back() == '-') return false;
        for (const char c : label)
            if (!is_lower_alphanumeric(c) && c != '-') return false;
    }
    return true;
}

static constexpr char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string base64_encode(std::string_view bytes) {
    std::string out;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        const size_t n = bytes.size() - i;
        const uint32_t word = uint32_t(uint8_t(bytes[i])) << 16 | (n > 1 ? uint32_t(uint8_t(bytes[i + 1])) << 8 : 0) |
                              (n > 2 ? uint32_t(uint8_t(bytes[i + 2])) : 0);
        out += base64_alphabet[word >> 18];
        out += base64_alphabet[word >> 12 & 63];
        out += n > 1 ? base64_alphabet[word >> 6 & 63] : '=';
        out += n > 2 ? base64_alphabet[word & 63] : '=';
    }
    return out;
}

static int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    if (c == '/') return 63;
    return -1;
}

std::optional<std::string> base64_decode(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::string out;
    for (size_t i = 0; i < text.size(); i += 4) {
        const bool last = i + 4 == text.size();
        const size_t padding = !last ? 0 : text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
        uint32_t word = 0;
        for (size_t j = 0; j < 4; j++) {
            const int value = j >= 4 - padding ? 0 : base64_value(text[i + j]);
            if (value < 0) return std::nullopt;
            word = word << 6 | uint32_t(value);
        }
        out += char(word >> 16);
        if (padding < 2) out += char(word >> 8 & 0xff);
        if (padding < 1) out += char(word & 0xff);
    }
    return out;
}

}  // namespace weft
