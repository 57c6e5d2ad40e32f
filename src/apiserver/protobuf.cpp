#include "apiserver/protobuf.h"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/strings.h"

namespace weft::apiserver {
namespace {

constexpr std::string_view magic("k8s\0", 4);
constexpr int depth_max = 32;                   // the deepest message of the table is 12
constexpr int64_t seconds_max = 9'000'000'000;  // the year 2255, within WallTime's nanoseconds

struct Message;

struct Field {
    std::string name;  // "" for one whose fields stand in the message around it
    char shape = ' ';  // '[' repeated, '<' map, '^' inline
    char scalar = 0;   // of "sibySIB"; 0: a message
    std::string message;
};

struct Message {
    std::string name;
    std::map<uint32_t, Field> fields;
};

using Messages = std::map<std::string, Message, std::less<>>;

Field read_field(std::string_view text) {
    Field field;
    if (text.starts_with('^')) return {.shape = '^', .message = std::string(text.substr(1))};
    const size_t colon = text.find(':');
    field.name = text.substr(0, colon);
    std::string_view type = text.substr(colon + 1);
    if (type.starts_with('[') || type.starts_with('<')) {
        field.shape = type[0];
        type.remove_prefix(1);
    }
    if (type.size() == 1)
        field.scalar = type[0];
    else
        field.message = type;
    return field;
}

const Messages& messages() {
    static const Messages all = [] {
        Messages table;
        Message* message = nullptr;
        for (const std::string_view line : split(protobuf_fields(), '\n')) {
            for (const std::string_view word : split(trim(line), ' ')) {
                if (word.empty()) continue;
                const size_t digits = word.find_first_not_of("0123456789");
                if (digits == 0) {
                    message = &table[std::string(word)];
                    message->name = word;
                } else if (message != nullptr) {
                    const auto number = uint32_t(parse_unsigned(word.substr(0, digits)).value_or(0));
                    message->fields[number] = read_field(word.substr(digits));
                }
            }
        }
        return table;
    }();
    return all;
}

std::unexpected<Failure> malformed() {
    return refuse(400, "BadRequest", "the body is not well-formed protobuf");
}

std::unexpected<Failure> not_spoken(std::string_view what) {
    return refuse(
        415, "UnsupportedMediaType",
        fmt::format("protobuf is not spoken here for {}; JSON and YAML are: kubectl create ... --dry-run=client "
                    "-o yaml | kubectl apply -f -",
                    what));
}

// The fields of one message, one after the other.
class Wire {
public:
    explicit Wire(std::string_view bytes) : rest_(bytes) {}

    struct Piece {
        uint32_t number = 0;
        bool is_bytes = false;
        uint64_t value = 0;
        std::string_view bytes;
    };

    bool at_end() const { return rest_.empty(); }

    std::optional<uint64_t> varint() {
        uint64_t value = 0;
        for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
            const auto byte = uint8_t(rest_.front());
            rest_.remove_prefix(1);
            value |= uint64_t(byte & 0x7f) << shift;
            if (byte < 0x80) return value;
        }
        return std::nullopt;
    }

    // Only the wire types that Kubernetes' messages have: varint and bytes.
    std::optional<Piece> next() {
        const auto tag = varint();
        if (!tag || *tag >> 3 == 0 || *tag >> 3 > UINT32_MAX) return std::nullopt;
        Piece piece{.number = uint32_t(*tag >> 3), .is_bytes = (*tag & 7) == 2};
        if (!piece.is_bytes && (*tag & 7) != 0) return std::nullopt;
        const auto number = varint();
        if (!number) return std::nullopt;
        if (!piece.is_bytes) {
            piece.value = *number;
            return piece;
        }
        if (*number > rest_.size()) return std::nullopt;
        piece.bytes = rest_.substr(0, *number);
        rest_.remove_prefix(*number);
        return piece;
    }

private:
    std::string_view rest_;
};

// A flat message of numbers and texts by field number, as Time and IntOrString are.
Outcome<std::map<uint32_t, Wire::Piece>> read_flat(std::string_view bytes) {
    std::map<uint32_t, Wire::Piece> pieces;
    for (Wire wire(bytes); !wire.at_end();) {
        const auto piece = wire.next();
        if (!piece) return malformed();
        pieces[piece->number] = *piece;
    }
    return pieces;
}

// The value of a message with a JSON form of its own; nullopt: `name` is no such message, a null value: absent.
Outcome<std::optional<json::Value>> read_special(std::string_view name, std::string_view bytes) {
    const bool is_time = name == "Time" || name == "MicroTime";
    if (!is_time && name != "Quantity" && name != "IntOrString" && name != "RawExtension" && name != "FieldsV1")
        return std::optional<json::Value>();
    auto pieces = TRY(read_flat(bytes));
    if (is_time) {
        const auto seconds = int64_t(pieces[1].value);
        const auto nanoseconds = int64_t(pieces[2].value);
        if (seconds < 0 || seconds > seconds_max || nanoseconds < 0 || nanoseconds >= 1'000'000'000) return malformed();
        if (seconds == 0 || bytes.empty()) return std::optional(json::Value());
        const WallTime time(std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanoseconds));
        return std::optional(json::Value(name == "Time" ? rfc3339(time) : rfc3339_micro(time)));
    }
    if (name == "IntOrString" && pieces[1].value == 0) return std::optional(json::Value(int64_t(pieces[2].value)));
    if (name == "IntOrString") return std::optional(json::Value(pieces[3].bytes));
    if (name == "Quantity") return std::optional(json::Value(pieces[1].bytes));
    if (pieces[1].bytes.empty()) return std::optional(json::Value());
    auto parsed = json::parse(pieces[1].bytes);
    if (!parsed) return refuse(400, "BadRequest", fmt::format("{} in the body: {}", name, parsed.error().message));
    return std::optional(std::move(*parsed));
}

class Decoder {
public:
    Done read(const Message& message, std::string_view bytes, json::Object& into) {
        if (++depth_ > depth_max) return malformed();
        for (Wire wire(bytes); !wire.at_end();) {
            const auto piece = wire.next();
            if (!piece) return malformed();
            const auto field = message.fields.find(piece->number);
            if (field == message.fields.end())
                return not_spoken(fmt::format("field {} of {}", piece->number, message.name));
            TRY(take(field->second, *piece, into));
        }
        depth_--;
        return {};
    }

private:
    // One field as it comes: repeated ones are appended, others replace.
    Done take(const Field& field, const Wire::Piece& piece, json::Object& into) {
        if (field.shape == '^') {
            if (!piece.is_bytes) return malformed();
            return read(TRY(message_of(field)), piece.bytes, into);
        }
        if (field.shape == '<') {
            const auto pair = TRY(read_flat(piece.bytes));
            const auto key = pair.find(1), value = pair.find(2);
            json::Value& map = into[field.name];
            if (!map.is_object()) map.emplace_object();
            const Wire::Piece nothing{.number = 2, .is_bytes = true};
            map.get_object()[key == pair.end() ? std::string_view() : key->second.bytes] =
                TRY(value_of(field, value == pair.end() ? nothing : value->second));
            return {};
        }
        if (field.shape == '[') {
            json::Value& list = into[field.name];
            if (!list.is_array()) list.emplace_array();
            const bool packed = piece.is_bytes && (field.scalar == 'i' || field.scalar == 'b');
            if (!packed) {
                list.get_array().push_back(TRY(value_of(field, piece)));
                return {};
            }
            for (Wire numbers(piece.bytes); !numbers.at_end();) {
                const auto number = numbers.varint();
                if (!number) return malformed();
                list.get_array().push_back(TRY(value_of(field, {.number = piece.number, .value = *number})));
            }
            return {};
        }
        json::Value value = TRY(value_of(field, piece));
        // What is no pointer in Go is always sent, and its zero means absent.
        const bool absent = value.is_null() || (field.scalar == 's' && value.get_string().empty()) ||
                            (field.scalar == 'i' && value.get_int64() == 0) ||
                            (field.scalar == 'b' && !value.get_bool()) || (field.scalar == 'y' && piece.bytes.empty());
        if (!absent) into[field.name] = std::move(value);
        return {};
    }

    Outcome<json::Value> value_of(const Field& field, const Wire::Piece& piece) {
        const bool is_number = field.scalar == 'i' || field.scalar == 'I' || field.scalar == 'b' || field.scalar == 'B';
        if (piece.is_bytes == is_number) return malformed();
        switch (field.scalar) {
            case 'i':
            case 'I':
                return json::Value(int64_t(piece.value));
            case 'b':
            case 'B':
                return json::Value(piece.value != 0);
            case 's':
            case 'S':
                return json::Value(piece.bytes);
            case 'y':
                return json::Value(base64_encode(piece.bytes));
            default:
                break;
        }
        if (auto special = TRY(read_special(field.message, piece.bytes))) return std::move(*special);
        json::Value value = json::Object{};
        TRY(read(TRY(message_of(field)), piece.bytes, value.get_object()));
        return value;
    }

    static Outcome<std::reference_wrapper<const Message>> message_of(const Field& field) {
        const auto found = messages().find(field.message);
        if (found == messages().end()) return not_spoken(field.message);
        return std::cref(found->second);
    }

    int depth_ = 0;
};

}  // namespace

Outcome<json::Value> decode_protobuf(std::string_view body) {
    if (!body.starts_with(magic)) return malformed();
    auto envelope = TRY(read_flat(body.substr(magic.size())));
    auto type = TRY(read_flat(envelope[1].bytes));
    const std::string_view api_version = type[1].bytes, kind = type[2].bytes;
    if (!envelope[3].bytes.empty() || (!envelope[4].bytes.empty() && envelope[4].bytes != protobuf_type))
        return not_spoken("an encoded body");
    // Two groups have an Event.
    const std::string name = (api_version.starts_with("events.k8s.io/") ? "events." : "") + std::string(kind);
    const auto message = messages().find(name);
    if (message == messages().end() || kind.empty()) return not_spoken(kind.empty() ? "a body without kind" : kind);
    json::Object object{{"apiVersion", api_version}, {"kind", kind}};
    TRY(Decoder().read(message->second, envelope[2].bytes, object));
    // Texts may hold bytes that are no UTF-8; what is stored must be JSON.
    auto sound = json::parse(json::serialize(object));
    if (!sound && sound.error().code == Code::exhausted)
        return refuse(413, "RequestEntityTooLarge",
                      fmt::format("Request entity too large: limit is {}", json::json_bytes_max));
    if (!sound) return refuse(400, "BadRequest", "the body holds text that is not UTF-8");
    return std::move(*sound);
}

}  // namespace weft::apiserver
