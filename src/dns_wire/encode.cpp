#include <algorithm>

#include "dns_wire/message.h"
#include "dns_wire/rdata.h"

namespace weft::dns_wire {

namespace {

constexpr size_t opt_bytes = 11;
constexpr size_t extended_error_bytes = 6;
constexpr size_t pointer_max = 0x3fff;
constexpr size_t suffixes_max = 128;  // remembered for compression: what is looked through for each label

class Writer {
public:
    Writer() {
        bytes_.reserve(udp_bytes_plain);
        suffixes_.reserve(16);
    }

    void u16(uint16_t value) {
        bytes_.push_back(uint8_t(value >> 8));
        bytes_.push_back(uint8_t(value));
    }

    void u32(uint32_t value) {
        u16(uint16_t(value >> 16));
        u16(uint16_t(value));
    }

    void raw(std::string_view data) { bytes_.insert(bytes_.end(), data.begin(), data.end()); }

    // Points at an earlier spelling of the same suffix. Case is compared too: the query's own spelling must come back,
    // and names of ours are lower case anyway. `wire` must stay where it is while this writer lives.
    void name(std::string_view wire, bool compress) {
        size_t at = 0;
        while (wire[at] != '\0') {
            const std::string_view suffix = wire.substr(at);
            const auto seen = std::find_if(suffixes_.begin(), suffixes_.end(),
                                           [suffix](const Suffix& known) { return known.text == suffix; });
            if (compress && seen != suffixes_.end()) {
                u16(uint16_t(0xc000 | seen->offset));
                return;
            }
            if (seen == suffixes_.end() && suffixes_.size() < suffixes_max && bytes_.size() <= pointer_max) {
                suffixes_.push_back({suffix, uint16_t(bytes_.size())});
            }
            const size_t label = size_t(uint8_t(wire[at])) + 1;
            raw(wire.substr(at, label));
            at += label;
        }
        bytes_.push_back(0);
    }

    void question(const Question& question) {
        name(question.name.wire(), true);
        u16(uint16_t(question.type));
        u16(uint16_t(question.cls));
    }

    void record(const Record& record) {
        name(record.name.wire(), true);
        u16(uint16_t(record.type));
        u16(uint16_t(record.cls));
        u32(record.ttl_s);
        const size_t length_at = bytes_.size();
        u16(0);
        data(record);
        const size_t length = bytes_.size() - length_at - 2;
        set16(length_at, uint16_t(length));
    }

    void set16(size_t at, uint16_t value) {
        bytes_[at] = uint8_t(value >> 8);
        bytes_[at + 1] = uint8_t(value);
    }

    size_t size() const { return bytes_.size(); }

    // Back to an earlier size, as if the rest had never been written.
    void cut(size_t size) {
        bytes_.resize(size);
        std::erase_if(suffixes_, [size](const Suffix& known) { return known.offset >= size; });
    }

    std::vector<uint8_t> take() { return std::move(bytes_); }

private:
    void data(const Record& record) {
        const RdataLayout layout = layout_of(record.type);
        if (!layout.may_compress) return raw(record.data);
        const std::string_view data = record.data;
        const std::span bytes(reinterpret_cast<const uint8_t*>(data.data()), data.size());
        size_t at = std::min<size_t>(layout.bytes_before, data.size());
        raw(data.substr(0, at));
        for (int i = 0; i < layout.names; ++i) {
            const size_t begin = at;
            if (!Name::read(bytes, at)) return raw(data.substr(begin));
            name(data.substr(begin, at - begin), true);
        }
        raw(data.substr(at));
    }

    struct Suffix {
        std::string_view text;
        uint16_t offset;
    };

    std::vector<uint8_t> bytes_;
    std::vector<Suffix> suffixes_;
};

bool same_rrset(const Record& a, const Record& b) { return a.type == b.type && a.cls == b.cls && a.name == b.name; }

// Writes whole rrsets while they fit; tells how many records that were and whether it was all.
struct Written {
    uint16_t records = 0;
    bool all = true;
};

Written write_section(Writer& writer, const std::vector<Record>& section, size_t bytes_max) {
    Written written;
    for (size_t first = 0; first < section.size();) {
        const size_t before = writer.size();
        size_t end = first;
        while (end < section.size() && same_rrset(section[first], section[end]) && writer.size() <= bytes_max) {
            writer.record(section[end++]);
        }
        if (writer.size() > bytes_max) {
            writer.cut(before);
            written.all = false;
            return written;
        }
        written.records = uint16_t(end);
        first = end;
    }
    return written;
}

uint16_t flags_of(const Message& message) {
    return uint16_t(message.response << 15 | (message.opcode & 0xf) << 11 | message.authoritative << 10 |
                    message.truncated << 9 | message.recursion_desired << 8 | message.recursion_available << 7 |
                    message.authentic_data << 5 | message.checking_disabled << 4 | (unsigned(message.rcode) & 0xf));
}

void write_opt(Writer& writer, const Edns& edns, Rcode rcode) {
    writer.name(std::string_view("\0", 1), false);
    writer.u16(uint16_t(Type::opt));
    writer.u16(edns.udp_bytes);
    writer.u32(uint32_t(unsigned(rcode) >> 4) << 24 | uint32_t(edns.version) << 16 | (edns.dnssec_ok ? 0x8000u : 0u));
    writer.u16(edns.extended_error ? extended_error_bytes : 0);
    if (!edns.extended_error) return;
    writer.u16(extended_error_option);
    writer.u16(2);
    writer.u16(uint16_t(*edns.extended_error));
}

}  // namespace

std::vector<uint8_t> encode(const Message& message, size_t bytes_max) {
    Writer writer;
    writer.u16(message.id);
    writer.u16(flags_of(message));
    writer.u16(uint16_t(message.questions.size()));
    writer.u16(0);
    writer.u16(0);
    writer.u16(0);
    for (const Question& question : message.questions) writer.question(question);

    // The OPT always goes along, so its room is kept free.
    const size_t reserved =
        message.edns ? opt_bytes + (message.edns->extended_error ? extended_error_bytes : 0) : 0;
    const size_t room = std::min(bytes_max, message_bytes_max) - std::min(bytes_max, reserved);
    const Written answers = write_section(writer, message.answers, room);
    Written authorities{0, false};
    Written additionals{0, false};
    if (answers.all) authorities = write_section(writer, message.authorities, room);
    if (answers.all && authorities.all) additionals = write_section(writer, message.additionals, room);
    if (message.edns) write_opt(writer, *message.edns, message.rcode);

    // Extras are a courtesy (RFC 2181 §9): TC only when something of the answer itself is missing.
    if (!answers.all || !authorities.all) writer.set16(2, flags_of(message) | 1 << 9);
    writer.set16(6, answers.records);
    writer.set16(8, authorities.records);
    writer.set16(10, uint16_t(additionals.records + (message.edns ? 1 : 0)));
    return writer.take();
}

}  // namespace weft::dns_wire
