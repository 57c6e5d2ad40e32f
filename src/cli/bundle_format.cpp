// The pure half of `weft bundle`: what is left out, and the archive's format.
#include <fmt/format.h>

#include <cstring>

#include "cli/bundle.h"

namespace weft::cli {

static constexpr size_t tar_block_bytes = 512;
static constexpr const char* last_applied = "kubectl.kubernetes.io/last-applied-configuration";

static void redact_values(json::Value& object, std::string_view field) {
    json::Value* values = const_cast<json::Value*>(json::find(object, {field}));
    if (values == nullptr || !values->is_object()) return;
    for (auto& entry : values->get_object())
        entry.value() = fmt::format("({} bytes)", entry.value().is_string() ? entry.value().get_string().size() : 0);
}

json::Value redacted(json::Value object) {
    if (json::find_string(object, {"kind"}) != "Secret") return object;
    redact_values(object, "data");
    redact_values(object, "stringData");
    json::erase(object, {"metadata", "annotations", last_applied});
    return object;
}

static void put(std::string& block, size_t at, std::string_view text) { block.replace(at, text.size(), text); }

std::string tar_entry(std::string_view name, std::string_view content, uint64_t time_s) {
    ENSURE(name.size() <= 100);
    std::string head(tar_block_bytes, '\0');
    put(head, 0, name);
    put(head, 100, "0000600");
    put(head, 108, "0000000");
    put(head, 116, "0000000");
    put(head, 124, fmt::format("{:011o}", content.size()));
    put(head, 136, fmt::format("{:011o}", time_s));
    put(head, 148, "        ");  // the checksum counts itself as spaces
    put(head, 156, "0");
    put(head, 257, std::string_view("ustar\00000", 8));
    unsigned sum = 0;
    for (const char c : head) sum += uint8_t(c);
    put(head, 148, fmt::format("{:06o}", sum));
    head[154] = '\0';
    std::string out = head;
    out += content;
    out.append((tar_block_bytes - content.size() % tar_block_bytes) % tar_block_bytes, '\0');
    return out;
}

std::string tar_end() { return std::string(2 * tar_block_bytes, '\0'); }

}  // namespace weft::cli
