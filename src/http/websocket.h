// WebSocket: the handshake, the frame codec and a blocking conversation, for both sides. Source: RFC 6455.
//
//   server:  check_upgrade(head); exchange.take_over(upgrade_response(head, "v5.channel.k8s.io")); WebSocket(stream, server)
//   client:  write upgrade_request(...).head; read the 101; check_upgrade_response(); WebSocket(stream, client)
//
// Strict: reserved bits, unknown opcodes, fragmented or long control frames, wrong masking and bad close codes end the
// conversation with the code the RFC names. Limit: message_bytes_max. Threads: FrameParser is a value; a WebSocket may
// be received from by one thread while others send.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "io/stream.h"

namespace weft::http {

inline constexpr size_t websocket_message_bytes_max = 1024 * 1024;

// Errors name the missing or wrong header (answer 400; 426 when the version is not 13).
Status check_upgrade(const RequestHead& head);
std::vector<std::string_view> offered_subprotocols(const RequestHead& head);
std::string accept_key(std::string_view key);  // Sec-WebSocket-Accept for a Sec-WebSocket-Key
ResponseHead upgrade_response(const RequestHead& head, std::string_view subprotocol = {});

struct ClientUpgrade {
    RequestHead head;  // add Authorization and the like before writing it
    std::string key;
};
ClientUpgrade upgrade_request(std::string_view host, std::string_view target,
                              const std::vector<std::string_view>& subprotocols);
// The chosen subprotocol ("" = none).
Result<std::string> check_upgrade_response(const ResponseHead& head, std::string_view key);

enum class Opcode : uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };
enum class Side : uint8_t { client, server };  // a client masks what it sends

struct Frame {
    Opcode opcode = Opcode::binary;
    bool final = true;
    std::string payload;  // unmasked
};

// Bytes → frames, as they come. `reader` is the side that reads: a server insists on masks, a client refuses them.
class FrameParser {
public:
    explicit FrameParser(Side reader, size_t payload_bytes_max = websocket_message_bytes_max)
        : reader_(reader), payload_bytes_max_(payload_bytes_max) {}

    // A whole frame at the front of bytes, and how much it took; need more: consumed 0 and no error.
    struct Step {
        size_t consumed = 0;
        uint16_t close_code = 0;  // not 0: the peer broke the protocol (1002) or a limit (1009)
        Frame frame;
    };
    Step next(std::string_view bytes) const;

private:
    Side reader_;
    size_t payload_bytes_max_;
};

void append_frame(std::string& out, Side writer, Opcode opcode, std::string_view payload, bool final = true);

class WebSocket {
public:
    // `stream` must outlive the WebSocket. `early`: bytes that came behind the handshake (a client's).
    WebSocket(io::Stream& stream, Side side, std::string early = {});

    struct Message {
        Opcode opcode = Opcode::binary;  // text, binary or close
        std::string payload;             // of a close: the reason
        uint16_t close_code = 0;         // of a close: 1005 when the peer gave none
    };
    // Joins fragments, answers pings and the close. An end without a close frame is a close with 1006.
    Result<Message> receive();
    Status send(Opcode opcode, std::string_view payload);
    // Sends a close frame once.
    void close(uint16_t code, std::string_view reason = {});

private:
    io::Stream& stream_;
    Side side_;
    FrameParser parser_;
    std::string input_;
    std::mutex write_mutex_;
    bool close_sent_ = false;  // guarded by write_mutex_
};

}  // namespace weft::http
