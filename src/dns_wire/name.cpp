#include "dns_wire/name.h"

#include <fmt/format.h>

#include <algorithm>

namespace weft::dns_wire {

namespace {

char fold(char c) { return c >= 'A' && c <= 'Z' ? char(c + ('a' - 'A')) : c; }

bool equal_folded(std::string_view a, std::string_view b) {
    return a.size() == b.size() &&
           std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return fold(x) == fold(y); });
}

}  // namespace

Result<Name> Name::parse(std::string_view text) {
    if (text.empty() || text == ".") return Name();
    std::string wire;
    std::string label;
    const auto end_label = [&]() -> Status {
        if (label.empty()) return fail(Code::invalid, "name has an empty label: " + std::string(text));
        if (label.size() > label_bytes_max) return fail(Code::invalid, "label longer than 63: " + std::string(text));
        wire += char(label.size());
        wire += label;
        label.clear();
        return {};
    };
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '.') {
            TRY(end_label());
        } else if (text[i] != '\\') {
            label += text[i];
        } else if (i + 1 < text.size() && (text[i + 1] < '0' || text[i + 1] > '9')) {
            label += text[++i];
        } else {
            unsigned value = 0;
            if (i + 3 >= text.size()) return fail(Code::invalid, "bad escape: " + std::string(text));
            for (int digit = 0; digit < 3; ++digit) {
                const char c = text[++i];
                if (c < '0' || c > '9') return fail(Code::invalid, "bad escape: " + std::string(text));
                value = value * 10 + unsigned(c - '0');
            }
            if (value > 255) return fail(Code::invalid, "bad escape: " + std::string(text));
            label += char(value);
        }
    }
    if (text.back() != '.' || !label.empty()) TRY(end_label());
    wire += '\0';
    if (wire.size() > name_bytes_max) return fail(Code::invalid, "name longer than 255: " + std::string(text));
    return Name(std::move(wire));
}

Result<Name> Name::read(std::span<const uint8_t> message, size_t& offset) {
    std::string wire;
    size_t at = offset;
    size_t segment = offset;  // where the labels being read began; a pointer must go before it, so there is no loop
    bool jumped = false;
    for (;;) {
        if (at >= message.size()) return fail(Code::invalid, "name runs out of the message");
        const uint8_t length = message[at];
        if (length == 0) {
            if (!jumped) offset = at + 1;
            wire += '\0';
            return Name(std::move(wire));
        }
        if ((length & 0xc0) == 0xc0) {
            if (at + 1 >= message.size()) return fail(Code::invalid, "name runs out of the message");
            if (!jumped) offset = at + 2;
            jumped = true;
            const size_t target = size_t(length & 0x3f) << 8 | message[at + 1];
            if (target >= segment) return fail(Code::invalid, "compression pointer does not point backwards");
            at = segment = target;
            continue;
        }
        if ((length & 0xc0) != 0) return fail(Code::invalid, "unknown label type");
        if (at + 1 + length > message.size()) return fail(Code::invalid, "name runs out of the message");
        if (wire.size() + 1 + length + 1 > name_bytes_max) return fail(Code::invalid, "name longer than 255");
        wire.append(reinterpret_cast<const char*>(message.data()) + at, size_t(length) + 1);
        at += size_t(length) + 1;
    }
}

std::string Name::text() const {
    if (is_root()) return ".";
    std::string text;
    for (const std::string_view label : labels()) {
        for (const char c : label) {
            const auto byte = uint8_t(c);
            if (c == '.' || c == '\\' || c == '"' || c == ';' || c == '(' || c == ')' || c == '@' || c == '$') {
                text += '\\';
                text += c;
            } else if (byte <= ' ' || byte >= 127) {
                text += fmt::format("\\{:03}", byte);
            } else {
                text += c;
            }
        }
        text += '.';
    }
    return text;
}

std::vector<std::string_view> Name::labels() const {
    std::vector<std::string_view> found;
    for (size_t at = 0; wire_[at] != '\0'; at += size_t(uint8_t(wire_[at])) + 1) {
        found.push_back(std::string_view(wire_).substr(at + 1, uint8_t(wire_[at])));
    }
    return found;
}

size_t Name::label_count() const {
    size_t count = 0;
    for (size_t at = 0; wire_[at] != '\0'; at += size_t(uint8_t(wire_[at])) + 1) ++count;
    return count;
}

bool Name::is_within(const Name& zone) const {
    size_t at = 0;
    while (wire_.size() - at > zone.wire_.size()) at += size_t(uint8_t(wire_[at])) + 1;
    return equal_folded(std::string_view(wire_).substr(at), zone.wire_);
}

std::optional<Name> Name::child(std::string_view label) const {
    if (label.empty() || label.size() > label_bytes_max) return std::nullopt;
    if (wire_.size() + label.size() + 1 > name_bytes_max) return std::nullopt;
    std::string wire(1, char(label.size()));
    wire += label;
    wire += wire_;
    return Name(std::move(wire));
}

Name Name::parent(size_t n) const {
    size_t at = 0;
    while (n-- > 0 && wire_[at] != '\0') at += size_t(uint8_t(wire_[at])) + 1;
    return Name(wire_.substr(at));
}

std::string Name::folded() const {
    std::string key = wire_;
    // Length bytes are at most 63, below any letter.
    std::transform(key.begin(), key.end(), key.begin(), fold);
    return key;
}

bool Name::operator==(const Name& other) const { return equal_folded(wire_, other.wire_); }

}  // namespace weft::dns_wire
