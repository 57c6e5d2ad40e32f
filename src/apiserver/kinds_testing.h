// Short words for the tests of this room: YAML in, checked object or its errors out.
#pragma once
#include <gtest/gtest.h>

#include "apiserver/defaults.h"
#include "apiserver/kind.h"
#include "apiserver/schema.h"
#include "apiserver/validate.h"

namespace weft::apiserver {

inline json::Value yaml(std::string_view text) {
    auto documents = json::parse_yaml(text);
    EXPECT_TRUE(documents.has_value()) << (documents ? "" : documents.error().message);
    return documents && !documents->empty() ? std::move((*documents)[0]) : json::Value(json::Object{});
}

inline const Kind& kind_of(const json::Value& object) {
    static const std::shared_ptr<const KindTable> table = KindTable::builtin();
    const Kind* kind = table->find_kind(json::find_string(object, {"apiVersion"}), json::find_string(object, {"kind"}));
    EXPECT_NE(kind, nullptr) << json::serialize(object);
    return *kind;
}

// As the server takes it: decoded, defaulted, prepared.
inline json::Value taken(std::string_view text, std::vector<std::string>* strict = nullptr) {
    json::Value object = yaml(text);
    const Kind& kind = kind_of(object);
    std::vector<std::string> found;
    const Verdict verdict = decode(kind, object, {}, strict == nullptr ? found : *strict);
    EXPECT_TRUE(verdict.has_value()) << (verdict ? "" : verdict.error().message);
    apply_defaults(kind, object);
    prepare_create(kind, object);
    return object;
}

// "field: message" lines, one per error; "" when valid.
inline std::string lines(const FieldErrors& errors) {
    std::string out;
    for (const FieldError& error : errors) out += error.field + ": " + error.message + "\n";
    return out;
}

inline std::string create_errors(std::string_view text) {
    const json::Value object = taken(text);
    return lines(validate_create(kind_of(object), object));
}

}  // namespace weft::apiserver
