// URL parts: percent-coding, query strings, and the split of a request target. Pure.
//
// Errors: nullopt for a malformed percent sequence; nothing is guessed. Source: RFC 3986; RFC 9112 §3.2.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::http {

std::optional<std::string> percent_decode(std::string_view text);  // '+' stays '+'
std::string percent_encode(std::string_view text);                 // everything but unreserved characters

// "/a/b?x=1" or "http://host:80/a/b?x=1" in its parts, still encoded. authority is empty in origin form; "*" is a path.
struct Target {
    std::string_view authority;
    std::string_view path;
    std::string_view query;  // without '?'
    bool has_query = false;
};
std::optional<Target> split_target(std::string_view target);

// Decoded names and values in order; '+' in them is a space. "a" and "a=" are both ("a", "").
class Query {
public:
    static std::optional<Query> parse(std::string_view text);

    std::optional<std::string_view> find(std::string_view name) const;  // the first
    std::string_view get(std::string_view name, std::string_view otherwise = {}) const {
        return find(name).value_or(otherwise);
    }
    bool has(std::string_view name) const { return find(name).has_value(); }
    std::vector<std::string_view> all(std::string_view name) const;  // command=a&command=b
    bool flag(std::string_view name) const;                          // "true", "1", or present without a value
    const std::vector<std::pair<std::string, std::string>>& items() const { return items_; }

private:
    std::vector<std::pair<std::string, std::string>> items_;
};

struct Authority {
    std::string_view host;  // brackets of an IPv6 literal kept
    std::string_view port;  // "" when absent
};
// A Host header or authority: host[:port] with valid characters and a port of digits ≤ 65535.
std::optional<Authority> split_authority(std::string_view text);

}  // namespace weft::http
