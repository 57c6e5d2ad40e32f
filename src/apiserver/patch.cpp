// Media types, merge patch (RFC 7386) and the choice between the three formats.
#include "apiserver/patch.h"

#include "apiserver/schema.h"
#include "base/strings.h"

namespace weft::apiserver {

std::expected<PatchType, Refusal> patch_type(const Kind& kind, std::string_view content_type) {
    const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
    if (type == "application/json-patch+json") return PatchType::json;
    if (type == "application/merge-patch+json") return PatchType::merge;
    if (type == "application/strategic-merge-patch+json" && !kind.custom) return PatchType::strategic;
    return std::unexpected(
        Refusal{415,
                "UnsupportedMediaType",
                fmt::format("the body of the request was in an unknown format - accepted media types include: "
                            "application/json-patch+json, application/merge-patch+json{}, application/apply-patch+yaml",
                            kind.custom ? "" : ", application/strategic-merge-patch+json"),
                {}});
}

json::Value merge_patch(json::Value current, const json::Value& patch) {
    if (!patch.is_object()) return patch;
    if (!current.is_object()) current = json::Object{};
    json::Object& target = current.get_object();
    for (const auto& [name, value] : patch.get_object()) {
        if (value.is_null()) {
            if (const auto found = target.find(name); found != target.end()) target.stable_erase(found);
        } else {
            json::Value& slot = target[name];
            slot = merge_patch(std::move(slot), value);
        }
    }
    return current;
}

std::expected<json::Value, Refusal> apply_patch(const Kind& kind, PatchType type, const json::Value& current,
                                                const json::Value& patch) {
    if (type == PatchType::json) return json_patch(current, patch);
    if (!patch.is_object()) return std::unexpected(bad_request("error decoding patch: a JSON object is expected"));
    if (type == PatchType::merge) return merge_patch(current, patch);
    return strategic_merge(kind.schema.get(), current, patch);
}

}  // namespace weft::apiserver
