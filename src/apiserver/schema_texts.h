// The YAML files of deploy/schemas and deploy/crds as they were at build time (schema_texts.cmake writes the .cpp).
#pragma once
#include <span>
#include <string_view>

namespace weft::apiserver {

struct SchemaText {
    std::string_view folder;  // "schemas" or "crds"
    std::string_view file;
    std::string_view text;
};

std::span<const SchemaText> schema_texts();

}  // namespace weft::apiserver
