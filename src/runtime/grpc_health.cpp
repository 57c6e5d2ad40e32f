#include "runtime/grpc_health.h"

#include <fmt/format.h>

namespace weft::runtime {

namespace {

enum FrameType : uint8_t { data = 0, headers = 1, reset = 3, settings = 4, ping = 6, go_away = 7 };

enum Flag : uint8_t { end_stream = 1, acknowledge = 1, end_headers = 4, padded = 8 };

constexpr size_t frame_bytes_max = 16384;  // a peer may send no longer ones unasked
constexpr int frames_max = 64;

std::string big_endian(uint32_t value) {
    return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)};
}

std::string frame(FrameType type, uint8_t flags, uint32_t stream, std::string_view payload) {
    return big_endian(uint32_t(payload.size())).substr(1) + char(type) + char(flags) + big_endian(stream) +
           std::string(payload);
}

// HPACK's integer with a 7-bit prefix and zero flag, then the bytes as they are.
std::string literal(std::string_view text) {
    std::string out;
    size_t rest = text.size();
    if (rest < 127) {
        out += char(rest);
    } else {
        out += char(127);
        for (rest -= 127; rest >= 128; rest /= 128) out += char(rest % 128 + 128);
        out += char(rest);
    }
    return out + std::string(text);
}

std::string request(const std::string& service, const std::string& authority) {
    std::string head = "\x83\x86";                                     // POST, http
    head += '\x04' + literal("/grpc.health.v1.Health/Check");          // :path
    head += '\x01' + literal(authority);                               // :authority
    head += std::string("\x0f\x10", 2) + literal("application/grpc");  // content-type
    head += std::string(1, '\0') + literal("te") + literal("trailers");
    std::string message;
    if (!service.empty()) {
        message = "\x0a";
        size_t rest = service.size();
        for (; rest >= 128; rest /= 128) message += char(rest % 128 + 128);
        message += char(rest);
        message += service;
    }
    return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(settings, 0, 0, "") + frame(headers, end_headers, 1, head) +
           frame(data, end_stream, 1, std::string(1, '\0') + big_endian(uint32_t(message.size())) + message);
}

Result<std::string> read_exactly(io::Stream& stream, size_t size) {
    std::string bytes(size, '\0');
    for (size_t at = 0; at < size;) {
        const size_t n = TRY(stream.read({bytes.data() + at, size - at}));
        if (n == 0) return fail(Code::unavailable, "the server closed the connection");
        at += n;
    }
    return bytes;
}

// HealthCheckResponse: its status stands in field 1; proto3 leaves 0 out.
Status verdict_of(std::string_view body) {
    static constexpr std::string_view names[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
    if (body.size() < 5) return fail(Code::unavailable, "the server answered without a health status");
    const std::string_view message = body.substr(5);
    const size_t status = message.size() >= 2 && message[0] == '\x08' ? size_t(message[1]) : 0;
    if (status == 1) return {};
    return fail(Code::unavailable, fmt::format("service unhealthy (responded with \"{}\")",
                                               status < std::size(names) ? names[status] : "?"));
}

}  // namespace

Status ask_grpc_health(io::Stream& stream, const std::string& service, const std::string& authority) {
    TRY(stream.write(request(service, authority)));
    std::string body;
    for (int i = 0; i < frames_max; i++) {
        const std::string head = TRY(read_exactly(stream, 9));
        const auto byte = [&](size_t at) { return static_cast<unsigned char>(head[at]); };
        const size_t size = size_t(byte(0)) << 16 | size_t(byte(1)) << 8 | byte(2);
        if (size > frame_bytes_max) return fail(Code::invalid, "the server does not speak HTTP/2");
        const std::string payload = TRY(read_exactly(stream, size));
        const uint8_t flags = byte(4);
        const bool ours = head[8] == 1;
        if (byte(3) == settings && (flags & acknowledge) == 0) TRY(stream.write(frame(settings, acknowledge, 0, "")));
        if (byte(3) == ping && (flags & acknowledge) == 0) TRY(stream.write(frame(ping, acknowledge, 0, payload)));
        if (byte(3) == go_away || (byte(3) == reset && ours))
            return fail(Code::unavailable, "the server refused the request");
        if (byte(3) == data && ours) {
            std::string_view bytes = payload;
            if ((flags & padded) != 0 && !bytes.empty()) {
                const size_t padding = static_cast<unsigned char>(bytes[0]);
                bytes = bytes.substr(1, bytes.size() - 1 - std::min(padding, bytes.size() - 1));
            }
            body += bytes;
        }
        if ((byte(3) == data || byte(3) == headers) && ours && (flags & end_stream) != 0) return verdict_of(body);
    }
    return fail(Code::invalid, "the server does not speak HTTP/2");
}

}  // namespace weft::runtime
