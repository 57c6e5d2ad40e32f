// ContinueToken: where a chunked list goes on: the snapshot's revision (0: the newest there is) and the last key shown.
// Opaque to clients: base64 of {"rv":N,"start":"key"}. Errors: 400 for a token we did not make. Threads: pure.
// Source: spec/kubernetes.md API-49.
#pragma once
#include "apiserver/failure.h"
#include "store/log.h"

namespace weft::apiserver {

struct ContinueToken {
    store::Revision revision = 0;
    std::string last_key;

    std::string encode() const;
    // `prefix` is what the list is about; a token of another list is refused.
    static Outcome<ContinueToken> decode(std::string_view text, std::string_view prefix);
};

}  // namespace weft::apiserver
