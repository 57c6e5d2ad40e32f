#include "dns_wire/message.h"
#include "dns_wire/rdata.h"

namespace weft::dns_wire {

namespace {

class Reader {
public:
    explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

    size_t left() const { return bytes_.size() - at_; }

    Result<uint16_t> u16() {
        if (left() < 2) return fail(Code::invalid, "message too short");
        at_ += 2;
        return uint16_t(bytes_[at_ - 2] << 8 | bytes_[at_ - 1]);
    }

    Result<uint32_t> u32() {
        const uint32_t high = TRY(u16());
        return high << 16 | TRY(u16());
    }

    Result<Name> name() { return Name::read(bytes_, at_); }

    Result<std::string> raw(size_t n) {
        if (left() < n) return fail(Code::invalid, "RDATA runs out of the message");
        at_ += n;
        return std::string(reinterpret_cast<const char*>(bytes_.data()) + at_ - n, n);
    }

    size_t at() const { return at_; }

private:
    std::span<const uint8_t> bytes_;
    size_t at_ = 0;
};

struct Counts {
    uint16_t questions = 0, answers = 0, authorities = 0, additionals = 0;
};

Result<Counts> read_header(Reader& reader, Message& message) {
    message.id = TRY(reader.u16());
    const uint16_t flags = TRY(reader.u16());
    message.response = flags >> 15;
    message.opcode = flags >> 11 & 0xf;
    message.authoritative = flags >> 10 & 1;
    message.truncated = flags >> 9 & 1;
    message.recursion_desired = flags >> 8 & 1;
    message.recursion_available = flags >> 7 & 1;
    message.authentic_data = flags >> 5 & 1;
    message.checking_disabled = flags >> 4 & 1;
    message.rcode = Rcode(flags & 0xf);
    Counts counts;
    counts.questions = TRY(reader.u16());
    counts.answers = TRY(reader.u16());
    counts.authorities = TRY(reader.u16());
    counts.additionals = TRY(reader.u16());
    return counts;
}

Result<Question> read_question(Reader& reader) {
    Question question;
    question.name = TRY(reader.name());
    question.type = Type(TRY(reader.u16()));
    question.cls = Class(TRY(reader.u16()));
    return question;
}

Result<std::string> read_data(Reader& reader, Type type, size_t length) {
    const RdataLayout layout = layout_of(type);
    if (layout.names == 0) return reader.raw(length);
    const size_t end = reader.at() + length;
    if (reader.left() < length) return fail(Code::invalid, "RDATA runs out of the message");
    std::string data = TRY(reader.raw(layout.bytes_before));
    for (int i = 0; layout.strings_before && i < 3; ++i) {
        const std::string size = TRY(reader.raw(1));
        data += size + TRY(reader.raw(uint8_t(size[0])));
    }
    for (int i = 0; i < layout.names; ++i) data += TRY(reader.name()).wire();
    if (reader.at() > end) return fail(Code::invalid, "RDATA longer than it says");
    return data + TRY(reader.raw(end - reader.at()));
}

// An OPT becomes message.edns; its options must be well-formed, and all but an extended error are ignored.
Status read_opt(Message& message, const Record& opt) {
    if (message.edns) return fail(Code::invalid, "two OPT records");
    if (!opt.name.is_root()) return fail(Code::invalid, "OPT with an owner name");
    const auto u16_at = [&](size_t at) { return uint16_t(uint8_t(opt.data[at]) << 8 | uint8_t(opt.data[at + 1])); };
    Edns edns{uint16_t(opt.cls), uint8_t(opt.ttl_s >> 16), (opt.ttl_s & 0x8000) != 0};
    for (size_t at = 0; at < opt.data.size();) {
        if (at + 4 > opt.data.size()) return fail(Code::invalid, "OPT with a cut option");
        const size_t length = u16_at(at + 2), begin = at + 4;
        if (begin + length > opt.data.size()) return fail(Code::invalid, "OPT with a cut option");
        if (u16_at(at) == extended_error_option && length >= 2) edns.extended_error = ExtendedError(u16_at(begin));
        at = begin + length;
    }
    message.edns = edns;
    message.rcode = Rcode(unsigned(message.rcode) | (opt.ttl_s >> 24) << 4);
    return {};
}

Status read_records(Reader& reader, Message& message, uint16_t count, std::vector<Record>& into, bool may_hold_opt) {
    for (uint16_t i = 0; i < count; ++i) {
        Record record;
        record.name = TRY(reader.name());
        record.type = Type(TRY(reader.u16()));
        record.cls = Class(TRY(reader.u16()));
        record.ttl_s = TRY(reader.u32());
        const uint16_t length = TRY(reader.u16());
        record.data = TRY(read_data(reader, record.type, length));
        if (record.type != Type::opt) {
            into.push_back(std::move(record));
        } else if (may_hold_opt) {
            TRY(read_opt(message, record));
        } else {
            return fail(Code::invalid, "OPT outside of the additional section");
        }
    }
    return {};
}

Status read_query_body(Reader& reader, Message& message, const Counts& counts) {
    if (counts.questions != 1) return fail(Code::invalid, "not exactly one question");
    message.questions.push_back(TRY(read_question(reader)));
    TRY(read_records(reader, message, counts.answers, message.answers, false));
    TRY(read_records(reader, message, counts.authorities, message.authorities, false));
    TRY(read_records(reader, message, counts.additionals, message.additionals, true));
    if (reader.left() != 0) return fail(Code::invalid, "bytes after the message");
    return {};
}

}  // namespace

Result<Query> decode_query(std::span<const uint8_t> bytes) {
    if (bytes.size() < header_bytes) return fail(Code::invalid, "shorter than a header");
    Query query;
    Reader reader(bytes);
    const Counts counts = TRY(read_header(reader, query.message));
    if (query.message.response) return fail(Code::invalid, "a response");
    // Of another opcode we know nothing more than its header.
    if (query.message.opcode != uint8_t(Opcode::query)) {
        query.problem = Rcode::not_imp;
        return query;
    }
    if (!read_query_body(reader, query.message, counts)) {
        query.problem = Rcode::form_err;
        query.message.edns.reset();
    } else if (query.message.edns && query.message.edns->version > 0) {
        query.problem = Rcode::bad_vers;
    }
    query.message.rcode = Rcode::no_error;
    return query;
}

Result<Message> decode_reply(std::span<const uint8_t> bytes) {
    Message message;
    Reader reader(bytes);
    const Counts counts = TRY(read_header(reader, message));
    if (!message.response) return fail(Code::invalid, "a query");
    for (uint16_t i = 0; i < counts.questions; ++i) message.questions.push_back(TRY(read_question(reader)));
    TRY(read_records(reader, message, counts.answers, message.answers, false));
    TRY(read_records(reader, message, counts.authorities, message.authorities, false));
    TRY(read_records(reader, message, counts.additionals, message.additionals, true));
    return message;
}

}  // namespace weft::dns_wire
