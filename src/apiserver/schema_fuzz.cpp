// Any JSON text as the body of every kind: decode, default, validate, prepare, show; and as a CRD whose schema is
// compiled.
#include <cstddef>
#include <cstdint>

#include "apiserver/defaults.h"
#include "apiserver/schema.h"
#include "apiserver/table.h"
#include "apiserver/validate.h"

using namespace weft;
using namespace weft::apiserver;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::vector<std::string> duplicates;
    const auto body = json::parse({reinterpret_cast<const char*>(data), size}, &duplicates);
    if (!body || !body->is_object()) return 0;
    for (const KindPtr& kind : KindTable::builtin()->all()) {
        json::Value object = *body;
        // Every kind gets a try, whatever the body says it is.
        object.get_object()["apiVersion"] = kind->api_version();
        object.get_object()["kind"] = kind->kind_name;
        std::vector<std::string> strict;
        if (!decode(*kind, object, duplicates, strict)) continue;
        apply_defaults(*kind, object);
        json::Value stored = object;
        prepare_create(*kind, object);
        const FieldErrors errors = validate_create(*kind, object);
        if (!errors.empty()) continue;
        prepare_update(*kind, stored, object, Part::main);
        validate_update(*kind, stored, object, Part::main);
        const json::Value* one = &object;
        to_table(*kind, std::span(&one, 1), IncludeObject::metadata, WallTime{});
        if (kind->kind_name == "CustomResourceDefinition") {
            if (const auto table = KindTable::builtin()->with_crd(object))
                json::serialize((*table)->all().front()->schema->source);
        }
    }
    return 0;
}
