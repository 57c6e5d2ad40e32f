#include "apiserver/compress.h"

#include <gtest/gtest.h>
#include <zlib.h>

namespace weft::apiserver {
namespace {

std::string unzipped(const std::string& body) {
    z_stream stream{};
    EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
    std::string out(8 * 1024 * 1024, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
    stream.avail_in = uInt(body.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = uInt(out.size());
    EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(stream.total_out);
    inflateEnd(&stream);
    return out;
}

std::string header(const Reply& reply, std::string_view name) {
    for (const auto& [key, value] : reply.headers)
        if (key == name) return value;
    return "";
}

TEST(Compress, API_26_a_large_reply_is_gzip_when_that_is_accepted) {
    std::string text;
    for (int i = 0; text.size() <= gzip_bytes_min; i++) text += "object " + std::to_string(i) + "\n";
    Reply reply{.body = text};
    compress(reply, "deflate, gzip;q=0.5");
    EXPECT_EQ(header(reply, "Content-Encoding"), "gzip");
    EXPECT_LT(reply.body.size(), text.size() / 3);
    EXPECT_EQ(unzipped(reply.body), text);
    for (const char* refuses : {"", "identity", "gzip;q=0", "gzip; q=0.0", "*;q=0", "br"}) {
        Reply plain{.body = text};
        compress(plain, refuses);
        EXPECT_EQ(plain.body, text) << refuses;
    }
}

TEST(Compress, API_26_small_replies_and_streams_stay_as_they_are) {
    Reply small{.body = std::string(gzip_bytes_min, 'x')};
    compress(small, "gzip");
    EXPECT_EQ(small.body.size(), gzip_bytes_min);
    Reply stream{.body = std::string(2 * gzip_bytes_min, 'x'), .stream = [](Sink&) {}};
    compress(stream, "*");
    EXPECT_EQ(header(stream, "Content-Encoding"), "");
}

}  // namespace
}  // namespace weft::apiserver
