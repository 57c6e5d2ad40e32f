// Name: a domain name as the wire has it: labels with a length byte each, ending in the root's zero byte. The case of
// every letter is kept; comparisons ignore it (RFC 4343).
//
// Shapes: at most 255 bytes, labels of 1 to 63 bytes of any value. Text form ends in a dot and escapes as zone files do
// ("a\.b.", "\000."). Threads: values. Source: RFC 1035 §2.3.4, §3.1, §4.1.4.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weft::dns_wire {

inline constexpr size_t name_bytes_max = 255;
inline constexpr size_t label_bytes_max = 63;

class Name {
public:
    Name() : wire_(1, '\0') {}  // the root

    static Result<Name> parse(std::string_view text);  // with or without the last dot; "" and "." are the root
    // Reads at `offset` of a message and moves it behind the name. Compression pointers must point backwards.
    static Result<Name> read(std::span<const uint8_t> message, size_t& offset);

    std::string text() const;
    const std::string& wire() const { return wire_; }
    std::vector<std::string_view> labels() const;  // leftmost first, without the root; views into this name
    size_t label_count() const;
    bool is_root() const { return wire_.size() == 1; }

    // This name is `zone` or stands below it.
    bool is_within(const Name& zone) const;
    // One label more in front; nullopt when that is too long or empty.
    std::optional<Name> child(std::string_view label) const;
    // Without the first n labels.
    Name parent(size_t n = 1) const;
    std::string folded() const;  // lower-case wire form: a key for maps

    bool operator==(const Name& other) const;

private:
    explicit Name(std::string wire) : wire_(std::move(wire)) {}

    std::string wire_;
};

}  // namespace weft::dns_wire
