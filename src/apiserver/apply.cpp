// Server-side apply: a PATCH of type application/apply-patch+yaml; and the door through which every other write says
// who it was. Source: spec/kubernetes.md API-83.
#include <fmt/format.h>

#include "apiserver/managed_fields.h"
#include "apiserver/rest.h"
#include "apiserver/schema.h"
#include "apiserver/validate.h"

namespace weft::apiserver {

bool is_apply_patch(std::string_view content_type) {
    return media_type(content_type) == "application/apply-patch+yaml";
}

static Writer writer_of(const Call& call, const Target& target, const Clock& clock) {
    std::string manager(call.query.get("fieldManager"));
    if (manager.empty()) manager = manager_of_agent(call.user_agent);
    return {std::move(manager), std::string(target.subresource), rfc3339(clock.wall())};
}

void Rest::track_fields(json::Value& wish, const json::Value* stored, const json::Value* given, Part part) {
    json::Value managed = managers_after_update(kind_, writer_of(call_, target_, clock_), stored, wish, given, part);
    set_managed_fields(wish, std::move(managed));
}

void Rest::set_managed_fields(json::Value& wish, json::Value managed_fields) {
    if (managed_fields.get_array().empty())
        json::erase(wish, {"metadata", "managedFields"});
    else
        json::set(wish, {"metadata", "managedFields"}, std::move(managed_fields));
}

// The body as the manager wrote it: neither defaulted nor allowed to hold what the kind does not know.
Outcome<json::Value> Rest::read_applied() {
    json::Value config;
    if (call_.body.find_first_not_of(" \t\r\n") != std::string::npos &&
        call_.body[call_.body.find_first_not_of(" \t\r\n")] == '{') {
        auto parsed = json::parse(call_.body);
        if (parsed) config = std::move(*parsed);
    }
    if (!config.is_object()) {
        auto documents = json::parse_yaml(call_.body);
        if (!documents) return refuse(400, "BadRequest", "error decoding YAML: " + documents.error().message);
        if (documents->size() != 1)
            return refuse(400, "BadRequest",
                          fmt::format("the body must hold one YAML document, not {}", documents->size()));
        config = std::move(documents->front());
    }
    std::vector<std::string> unknown;
    TRY(decode(kind_, config, {}, unknown));
    if (!unknown.empty())
        return refuse(400, "BadRequest",
                      fmt::format("failed to create typed patch object ({}/{}; {}, Kind={}): {}", target_.key.ns,
                                  target_.key.name, kind_.api_version(), kind_.kind_name, fmt::join(unknown, ", ")));
    if (!config.get_object()["metadata"].is_object()) config.get_object()["metadata"].emplace_object();
    const json::Value* managed = json::find(config, {"metadata", "managedFields"});
    if (managed != nullptr && !(managed->is_array() && managed->get_array().empty()))
        return refuse(400, "BadRequest", "metadata.managedFields must be nil");
    json::erase(config, {"metadata", "managedFields"});
    if (json::find_string(config, {"metadata", "name"}).empty())
        json::set(config, {"metadata", "name"}, json::Value(target_.key.name));
    TRY(check_identity(config));
    return config;
}

Outcome<Reply> Rest::apply() {
    TRY(read_write_options());
    const json::Value config = TRY(read_applied());
    const bool force = call_.query.get("force") == "true";
    const std::string revision(json::find_string(config, {"metadata", "resourceVersion"}));
    const Writer writer = writer_of(call_, target_, clock_);
    for (int tries = 1;; tries++) {
        auto stored = objects_.get(kind_, target_.key);
        const bool is_new = !stored && stored.error().code() == 404 && target_.subresource.empty();
        if (!stored && !is_new) return refuse(std::move(stored.error()));
        if (is_new && !json::find_string(config, {"metadata", "uid"}).empty())
            return conflict(kind_, target_.key.name,
                            "uid mismatch: the provided object specified a uid, but no "
                            "existing object was found");
        if (is_new && !revision.empty()) return conflict(kind_, target_.key.name);
        if (!is_new && !revision.empty() && revision != json::find_string(*stored, {"metadata", "resourceVersion"}))
            return conflict(kind_, target_.key.name);
        auto applied = apply_object(kind_, writer, is_new ? nullptr : &*stored, config, force, part());
        if (!applied) return refuse(Failure(std::move(applied.error())).about(kind_, target_.key.name));
        warnings_.clear();
        auto written = is_new ? create_object(std::move(applied->object), &applied->managed_fields)
                              : update_object(std::move(applied->object), *stored, part(), &applied->managed_fields);
        if (written) return object_reply(is_new ? 201 : 200, std::move(*written));
        const std::string& reason = written.error().refusal.reason;
        const bool lost_race = is_new ? reason == "AlreadyExists" : reason == "Conflict" || reason == "NotFound";
        if (!lost_race || !revision.empty() || tries == patch_tries_max) return refuse(std::move(written.error()));
    }
}

}  // namespace weft::apiserver
