#include "apiserver/compress.h"

#include <zlib.h>

#include "base/strings.h"

namespace weft::apiserver {

static constexpr int level = 1;  // lists of objects shrink tenfold at the lowest level already
static constexpr int gzip_window_bits = 15 + 16;
static constexpr int memory_level = 8;

bool accepts_gzip(std::string_view accept_encoding) {
    bool by_star = false;
    for (const std::string_view item : split(accept_encoding, ',')) {
        const size_t semicolon = item.find(';');
        const std::string name = to_lower(trim(item.substr(0, semicolon)));
        const std::string_view quality = semicolon == item.npos ? "" : trim(item.substr(semicolon + 1));
        const bool refused = quality.starts_with("q=0") && quality.find_first_not_of("0.", 2) == quality.npos;
        if (name == "gzip") return !refused;
        if (name == "*") by_star = !refused;
    }
    return by_star;
}

static std::string gzip(std::string_view text) {
    z_stream stream{};
    if (deflateInit2(&stream, level, Z_DEFLATED, gzip_window_bits, memory_level, Z_DEFAULT_STRATEGY) != Z_OK) return "";
    std::string out(deflateBound(&stream, text.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = uInt(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = uInt(out.size());
    const int done = deflate(&stream, Z_FINISH);
    out.resize(done == Z_STREAM_END ? stream.total_out : 0);
    deflateEnd(&stream);
    return out;
}

void compress(Reply& reply, std::string_view accept_encoding) {
    if (reply.stream || reply.take || reply.body.size() <= gzip_bytes_min || !accepts_gzip(accept_encoding)) return;
    if (reply.body.size() > UINT32_MAX) return;  // zlib counts in 32 bits
    std::string small = gzip(reply.body);
    if (small.empty() || small.size() >= reply.body.size()) return;
    reply.body = std::move(small);
    reply.headers.emplace_back("Content-Encoding", "gzip");
    reply.headers.emplace_back("Vary", "Accept, Accept-Encoding");
}

}  // namespace weft::apiserver
