// Message: the heads of HTTP requests and responses as values. Header order is kept, names compare without case.
//
// All names and values of one Headers live in one block of bytes, so a parsed head costs one copy and no allocation per
// header; views into it are valid until the next add, set or clear. Threads: values only. Source: RFC 9110 §5.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft::http {

struct Header {
    std::string_view name;
    std::string_view value;
};

class Headers {
public:
    Headers() = default;
    Headers(std::initializer_list<Header> headers) {
        for (const auto& [name, value] : headers) add(name, value);
    }

    void add(std::string_view name, std::string_view value);
    void set(std::string_view name, std::string_view value);  // removes others of that name, appends
    void remove(std::string_view name);
    void clear();

    // The first one of that name.
    std::optional<std::string_view> find(std::string_view name) const;
    std::string_view get(std::string_view name, std::string_view otherwise = {}) const {
        return find(name).value_or(otherwise);
    }
    bool has(std::string_view name) const { return find(name).has_value(); }
    size_t count(std::string_view name) const;
    // Whether a comma-separated list header ("Connection: keep-alive, Upgrade") names the token, in any of its lines.
    bool lists(std::string_view name, std::string_view token) const;

    size_t size() const { return spans_.size(); }
    bool empty() const { return spans_.empty(); }
    Header operator[](size_t i) const;

    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Header;
        using difference_type = std::ptrdiff_t;
        using pointer = const Header*;
        using reference = Header;

        Iterator(const Headers& headers, size_t i) : headers_(&headers), i_(i) {}
        Header operator*() const { return (*headers_)[i_]; }
        Iterator& operator++() {
            ++i_;
            return *this;
        }
        bool operator==(const Iterator& other) const { return i_ == other.i_; }

    private:
        const Headers* headers_;
        size_t i_;
    };
    Iterator begin() const { return {*this, 0}; }
    Iterator end() const { return {*this, size()}; }

private:
    struct Span {
        uint32_t name, name_size, value, value_size;
    };
    std::string_view name_of(const Span& s) const { return {bytes_.data() + s.name, s.name_size}; }
    std::string_view value_of(const Span& s) const { return {bytes_.data() + s.value, s.value_size}; }

    std::string bytes_;
    std::vector<Span> spans_;
};

enum class Version : uint8_t { http_1_0, http_1_1 };

struct RequestHead {
    std::string method;
    std::string target;  // as sent: "/path?query", "http://host/path", "*"
    Version version = Version::http_1_1;
    Headers headers;

    void clear();
};

struct ResponseHead {
    int status = 200;
    std::string reason;  // "" = the usual phrase
    Version version = Version::http_1_1;
    Headers headers;

    void clear();
};

// How the end of a body is found (RFC 9112 §6.3).
struct Framing {
    enum class Kind : uint8_t { none, length, chunked, until_close };
    Kind kind = Kind::none;
    uint64_t length = 0;

    bool operator==(const Framing&) const = default;
};

std::string_view reason_phrase(int status);  // "Not Found"; "" for a status without one
// Whether the connection stays open after this message, by its version and Connection header.
bool wants_keep_alive(Version version, const Headers& headers);
// May be sent again after a lost connection (RFC 9110 §9.2.2).
bool is_idempotent(std::string_view method);

}  // namespace weft::http
