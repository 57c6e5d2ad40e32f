// Any bytes: decode never crashes, and what decodes encodes to something that decodes to the same.
#include <cstdlib>

#include "dns_wire/message.h"

using namespace weft::dns_wire;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::span bytes(data, size);
    if (const auto query = decode_query(bytes)) {
        Message response = response_to(query->message);
        response.rcode = query->problem;
        const size_t limit = udp_bytes_for(query->message);
        if (encode(response, limit).size() > limit) std::abort();
    }
    const auto reply = decode_reply(bytes);
    if (!reply || size > 4096) return 0;
    for (const Record& record : reply->answers) (void)record.text();
    const auto again = decode_reply(encode(*reply, message_bytes_max));
    if (!again || again->questions != reply->questions) std::abort();
    // Decompression can make a message outgrow 64 KiB; then whole rrsets are missing and TC says so.
    if (!again->truncated && again->answers != reply->answers) std::abort();
    return 0;
}
