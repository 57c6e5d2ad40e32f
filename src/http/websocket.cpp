#include "http/websocket.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "http/h1.h"

namespace weft::http {

namespace {

constexpr std::string_view accept_guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 §1.3
constexpr size_t control_payload_max = 125;
constexpr size_t read_bytes = 16 * 1024;
constexpr uint16_t protocol_error = 1002, too_big = 1009, no_code = 1005, abnormal = 1006;

void apply_mask(char* data, size_t size, const std::array<uint8_t, 4>& mask) {
    for (size_t i = 0; i < size; ++i) data[i] = char(uint8_t(data[i]) ^ mask[i & 3]);
}

// Codes that may stand in a close frame (RFC 6455 §7.4).
bool is_close_code(uint16_t code) {
    return (code >= 1000 && code <= 1014 && code != 1004 && code != no_code && code != abnormal) ||
           (code >= 3000 && code <= 4999);
}

std::string close_payload(uint16_t code, std::string_view reason) {
    std::string payload{char(code >> 8), char(code & 255)};
    payload.append(reason.substr(0, control_payload_max - 2));
    return payload;
}

template <size_t n>
std::array<uint8_t, n> random_bytes() {
    std::array<uint8_t, n> bytes{};
    ENSURE(RAND_bytes(bytes.data(), int(n)) == 1);
    return bytes;
}

}  // namespace

Status check_upgrade(const RequestHead& head) {
    if (head.method != "GET" || head.version != Version::http_1_1)
        return fail(Code::invalid, "WebSocket: not a GET of HTTP/1.1");
    if (!head.headers.lists("Connection", "upgrade"))
        return fail(Code::invalid, "WebSocket: Connection does not name Upgrade");
    if (!head.headers.lists("Upgrade", "websocket"))
        return fail(Code::invalid, "WebSocket: Upgrade does not name websocket");
    if (head.headers.get("Sec-WebSocket-Version") != "13")
        return fail(Code::invalid, "Sec-WebSocket-Version: must be 13");
    const auto key = base64_decode(head.headers.get("Sec-WebSocket-Key"));
    if (!key || key->size() != 16) return fail(Code::invalid, "Sec-WebSocket-Key: must be 16 bytes in base64");
    return {};
}

std::vector<std::string_view> offered_subprotocols(const RequestHead& head) {
    return list_members(head.headers, "Sec-WebSocket-Protocol");
}

std::string accept_key(std::string_view key) {
    const std::string text = std::string(key) + std::string(accept_guid);
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    ENSURE(EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) == 1);
    return base64_encode({reinterpret_cast<const char*>(digest.data()), size});
}

ResponseHead upgrade_response(const RequestHead& head, std::string_view subprotocol) {
    ResponseHead response{.status = 101};
    response.headers.add("Upgrade", "websocket");
    response.headers.add("Connection", "Upgrade");
    response.headers.add("Sec-WebSocket-Accept", accept_key(head.headers.get("Sec-WebSocket-Key")));
    if (!subprotocol.empty()) response.headers.add("Sec-WebSocket-Protocol", subprotocol);
    return response;
}

ClientUpgrade upgrade_request(std::string_view host, std::string_view target,
                              const std::vector<std::string_view>& subprotocols) {
    const auto nonce = random_bytes<16>();
    ClientUpgrade out;
    out.key = base64_encode({reinterpret_cast<const char*>(nonce.data()), nonce.size()});
    out.head.method = "GET";
    out.head.target = target;
    out.head.headers = {{"Host", host},
                        {"Upgrade", "websocket"},
                        {"Connection", "Upgrade"},
                        {"Sec-WebSocket-Version", "13"},
                        {"Sec-WebSocket-Key", out.key}};
    if (!subprotocols.empty()) {
        out.head.headers.add("Sec-WebSocket-Protocol", fmt::format("{}", fmt::join(subprotocols, ", ")));
    }
    return out;
}

Result<std::string> check_upgrade_response(const ResponseHead& head, std::string_view key) {
    if (head.status != 101) return fail(Code::invalid, fmt::format("WebSocket: the server answered {}", head.status));
    if (!head.headers.lists("Connection", "upgrade") || !head.headers.lists("Upgrade", "websocket")) {
        return fail(Code::invalid, "WebSocket: the answer does not upgrade to websocket");
    }
    if (head.headers.get("Sec-WebSocket-Accept") != accept_key(key)) {
        return fail(Code::invalid, "Sec-WebSocket-Accept: does not match the key");
    }
    return std::string(head.headers.get("Sec-WebSocket-Protocol"));
}

FrameParser::Step FrameParser::next(std::string_view bytes) const {
    const auto byte = [&](size_t i) { return uint8_t(bytes[i]); };
    const auto broken = [](uint16_t code) { return Step{.close_code = code}; };
    if (bytes.empty()) return {};
    if ((byte(0) & 0x70) != 0) return broken(protocol_error);  // no extension is ever negotiated
    const auto opcode = Opcode(byte(0) & 0x0f);
    const bool final = (byte(0) & 0x80) != 0;
    const bool control = opcode >= Opcode::close;
    if (opcode > Opcode::pong || (opcode > Opcode::binary && opcode < Opcode::close)) return broken(protocol_error);
    if (control && !final) return broken(protocol_error);
    if (bytes.size() < 2) return {};
    const bool masked = (byte(1) & 0x80) != 0;
    if (masked != (reader_ == Side::server)) return broken(protocol_error);
    uint64_t size = byte(1) & 0x7f;
    size_t at = 2;
    if (control && size > control_payload_max) return broken(protocol_error);
    if (size >= 126) {
        const size_t width = size == 126 ? 2 : 8;
        if (bytes.size() < at + width) return {};
        size = 0;
        for (size_t i = 0; i < width; ++i) size = size << 8 | byte(at + i);
        at += width;
        // RFC 6455 §5.2: the shortest form, and the top bit clear.
        if (size < 126 || (width == 8 && (size < 65536 || size >> 63 != 0))) return broken(protocol_error);
    }
    if (size > payload_bytes_max_) return broken(too_big);
    std::array<uint8_t, 4> mask{};
    if (masked) {
        if (bytes.size() < at + 4) return {};
        for (size_t i = 0; i < 4; ++i) mask[i] = byte(at + i);
        at += 4;
    }
    if (bytes.size() - at < size) return {};
    Step step{.consumed = at + size_t(size), .frame = {opcode, final, std::string(bytes.substr(at, size_t(size)))}};
    if (masked) apply_mask(step.frame.payload.data(), step.frame.payload.size(), mask);
    return step;
}

void append_frame(std::string& out, Side writer, Opcode opcode, std::string_view payload, bool final) {
    const uint8_t mask_bit = writer == Side::client ? 0x80 : 0;
    out.push_back(char((final ? 0x80 : 0) | uint8_t(opcode)));
    const size_t size = payload.size();
    if (size < 126) {
        out.push_back(char(mask_bit | size));
    } else {
        const int width = size < 65536 ? 2 : 8;
        out.push_back(char(mask_bit | (width == 2 ? 126 : 127)));
        for (int i = width - 1; i >= 0; --i) out.push_back(char(uint64_t(size) >> (8 * i)));
    }
    if (writer == Side::server) {
        out.append(payload);
        return;
    }
    const auto mask = random_bytes<4>();
    out.append(reinterpret_cast<const char*>(mask.data()), mask.size());
    const size_t begin = out.size();
    out.append(payload);
    apply_mask(out.data() + begin, size, mask);
}

WebSocket::WebSocket(io::Stream& stream, Side side, std::string early)
    : stream_(stream), side_(side), parser_(side), input_(std::move(early)) {}

Result<WebSocket::Message> WebSocket::receive() {
    const auto broken = [this](uint16_t code, std::string why) {
        close(code, why);
        return fail(Code::invalid, "WebSocket: " + why);
    };
    Message message;
    bool in_message = false;
    for (;;) {
        auto step = parser_.next(input_);
        if (step.close_code != 0) return broken(step.close_code, "the peer sent a malformed or oversize frame");
        if (step.consumed == 0) {
            std::array<char, read_bytes> more;
            const size_t n = TRY(stream_.read(more));
            if (n == 0) return Message{Opcode::close, {}, abnormal};
            input_.append(more.data(), n);
            continue;
        }
        input_.erase(0, step.consumed);
        Frame& frame = step.frame;
        switch (frame.opcode) {
            case Opcode::ping: TRY(send(Opcode::pong, frame.payload)); continue;
            case Opcode::pong: continue;
            case Opcode::close: {
                if (frame.payload.size() == 1) return broken(protocol_error, "close frame of one byte");
                if (frame.payload.empty()) {
                    close(1000);
                    return Message{Opcode::close, {}, no_code};
                }
                const auto code = uint16_t(uint8_t(frame.payload[0]) << 8 | uint8_t(frame.payload[1]));
                if (!is_close_code(code)) return broken(protocol_error, "close frame with an invalid code");
                close(code);
                return Message{Opcode::close, frame.payload.substr(2), code};
            }
            case Opcode::continuation:
                if (!in_message) return broken(protocol_error, "continuation of nothing");
                break;
            default:
                if (in_message) return broken(protocol_error, "a new message inside a fragmented one");
                message.opcode = frame.opcode;
                in_message = true;
        }
        if (message.payload.size() + frame.payload.size() > websocket_message_bytes_max)
            return broken(too_big, "message too long");
        message.payload.append(frame.payload);
        if (frame.final) return message;
    }
}

Status WebSocket::send(Opcode opcode, std::string_view payload) {
    std::string out;
    append_frame(out, side_, opcode, payload);
    const std::lock_guard lock(write_mutex_);
    if (close_sent_) return fail(Code::unavailable, "WebSocket: closed");
    return stream_.write(out);
}

void WebSocket::close(uint16_t code, std::string_view reason) {
    std::string out;
    append_frame(out, side_, Opcode::close, close_payload(code, reason));
    const std::lock_guard lock(write_mutex_);
    if (close_sent_) return;
    close_sent_ = true;
    (void)stream_.write(out);
}

}  // namespace weft::http
