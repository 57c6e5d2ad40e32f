// Fuzz: WebSocket frames. Held: nothing is consumed beyond the input; an accepted frame, written and read again, is the
// same.
#include <cstdint>
#include <string>
#include <string_view>

#include "http/websocket.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace weft::http;
    if (size == 0) return 0;
    const Side reader = data[0] & 1 ? Side::server : Side::client;
    const Side writer = reader == Side::server ? Side::client : Side::server;
    std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const FrameParser parser(reader, 4096);
    for (;;) {
        const auto step = parser.next(bytes);
        ENSURE(step.consumed <= bytes.size());
        if (step.consumed == 0) break;
        std::string written;
        append_frame(written, writer, step.frame.opcode, step.frame.payload, step.frame.final);
        const auto again = parser.next(written);
        ENSURE(again.consumed == written.size() && again.frame.payload == step.frame.payload &&
               again.frame.opcode == step.frame.opcode && again.frame.final == step.frame.final);
        bytes.remove_prefix(step.consumed);
    }
    return 0;
}
