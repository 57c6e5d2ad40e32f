// Any bytes after the envelope's head: an answer, and one that is JSON. The seeds are what kubectl sent.
#include <cstddef>
#include <cstdint>

#include "apiserver/protobuf.h"
#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace weft;
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const auto object = apiserver::decode_protobuf(input);
    if (object) {
        ENSURE(object->is_object());
        ENSURE(json::parse(json::serialize(*object)));
    } else {
        ENSURE(object.error().code() == 400 || object.error().code() == 413 || object.error().code() == 415);
    }
    return 0;
}
