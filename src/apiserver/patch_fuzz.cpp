// Any two JSON texts, split at the first newline: object and patch. All three formats, then the door for bodies.
#include <cstddef>
#include <cstdint>

#include "apiserver/defaults.h"
#include "apiserver/patch.h"
#include "apiserver/schema.h"
#include "apiserver/validate.h"

using namespace weft;
using namespace weft::apiserver;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const size_t line = text.find('\n');
    if (line == text.npos) return 0;
    const auto current = json::parse(text.substr(0, line));
    const auto patch = json::parse(text.substr(line + 1));
    if (!current || !patch) return 0;
    const auto table = KindTable::builtin();
    for (const kube::Resource& resource : {kube::pods, kube::services, kube::deployments}) {
        const Kind& kind = *table->find(resource);
        for (const PatchType type : {PatchType::json, PatchType::merge, PatchType::strategic}) {
            auto result = apply_patch(kind, type, *current, *patch);
            std::vector<std::string> strict;
            if (!result || !decode(kind, *result, {}, strict)) continue;
            apply_defaults(kind, *result);
            validate_create(kind, *result);
        }
    }
    return 0;
}
