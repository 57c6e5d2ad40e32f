// gzip of large replies (spec/kubernetes.md API-26). Watches and other streams are never compressed. Threads: pure.
#pragma once
#include <string>
#include <string_view>

#include "apiserver/call.h"

namespace weft::apiserver {

inline constexpr size_t gzip_bytes_min = 128 * 1024;  // smaller ones are not worth the time

// Whether an Accept-Encoding header takes gzip: named, or by a star, with a q that is not 0.
bool accepts_gzip(std::string_view accept_encoding);
// Replaces the body and says so in the headers, where it is large enough and gets smaller.
void compress(Reply& reply, std::string_view accept_encoding);

}  // namespace weft::apiserver
