// update and patch. A patch that loses a race is applied again to what is there now; an update whose body carries a
// resourceVersion is not. Source: spec/kubernetes.md API-67, API-68, API-73, §1.7.
#include <fmt/format.h>

#include "apiserver/rest.h"
#include "apiserver/schema.h"
#include "apiserver/validate.h"
#include "base/strings.h"

namespace weft::apiserver {

bool has_finalizers(const json::Value& object) {
    const json::Array* finalizers = json::find_array(object, {"metadata", "finalizers"});
    if (finalizers != nullptr && !finalizers->empty()) return true;
    if (json::find_string(object, {"kind"}) != "Namespace") return false;
    const json::Array* of_namespace = json::find_array(object, {"spec", "finalizers"});
    return of_namespace != nullptr && !of_namespace->empty();
}

static bool is_same(json::Value a, json::Value b) {
    json::erase(a, {"metadata", "resourceVersion"});
    json::erase(b, {"metadata", "resourceVersion"});
    return a == b;
}

Outcome<json::Value> Rest::store_update(json::Value wish, const json::Value& stored) {
    if (is_same(wish, stored)) return stored;  // API-42
    const bool deleting = json::has(stored, {"metadata", "deletionTimestamp"});
    const bool grace_is_over = json::find_int(wish, {"metadata", "deletionGracePeriodSeconds"}) == 0;
    if (deleting && grace_is_over && !has_finalizers(wish)) {
        const kube::ObjectKey key = target_.key;
        json::Value removed = TRY(objects_.remove(kind_, key, revision_of(stored), options_));
        if (is_crd(kind_) && !options_.dry_run) kinds_.remove(key.name);
        if (!kind_.crd_name.empty() && !options_.dry_run) finish_crd(objects_, kinds_, kind_.crd_name);
        return removed;
    }
    TRY(check_size(wish));
    json::Value updated = TRY(objects_.update(kind_, std::move(wish), revision_of(stored), options_));
    if (is_crd(kind_) && !options_.dry_run) kinds_.put(updated);
    return updated;
}

Outcome<json::Value> Rest::update_object(json::Value wish, const json::Value& stored, Part part,
                                         const json::Value* managed_fields) {
    const std::string_view name = target_.key.name;
    const std::string_view uid = json::find_string(wish, {"metadata", "uid"});
    const std::string_view stored_uid = json::find_string(stored, {"metadata", "uid"});
    if (!uid.empty() && uid != stored_uid)
        return conflict(
            kind_, name,
            fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid, stored_uid));
    const std::string_view revision = json::find_string(wish, {"metadata", "resourceVersion"});
    if (!revision.empty() && !parse_unsigned(revision))
        return refuse(400, "BadRequest", fmt::format("resourceVersion: Invalid value: \"{}\"", revision));
    if (!revision.empty() && revision != "0" && revision != json::find_string(stored, {"metadata", "resourceVersion"}))
        return conflict(kind_, name);
    json::set(wish, {"metadata", "uid"}, json::Value(stored_uid));
    if (const json::Value* created = json::find(stored, {"metadata", "creationTimestamp"}))
        json::set(wish, {"metadata", "creationTimestamp"}, json::Value(*created));
    json::set(wish, {"metadata", "resourceVersion"},
              json::Value(json::find_string(stored, {"metadata", "resourceVersion"})));
    apply_defaults(kind_, wish);
    const json::Value* sent = json::find(wish, {"metadata", "managedFields"});
    const std::optional<json::Value> given = sent == nullptr ? std::nullopt : std::optional(*sent);
    prepare_update(kind_, wish, stored, part);
    if (managed_fields != nullptr) set_managed_fields(wish, *managed_fields);
    else track_fields(wish, &stored, given ? &*given : nullptr, part);
    if (is_crd(kind_) && part == Part::main) establish(*kinds_.table(), wish, clock_);
    FieldErrors errors = validate_update(kind_, wish, stored, part);
    if (!errors.empty()) return unprocessable(kind_, name, std::move(errors));
    auto updated = store_update(std::move(wish), stored);
    if (updated && part == Part::main) add_warnings(*updated);
    return updated;
}

Outcome<Reply> Rest::update() {
    if (target_.subresource == "scale") return write_scale();
    if (target_.subresource == "finalize") return finalize_namespace();
    TRY(read_write_options());
    const json::Value wish = TRY(read_object());
    const std::string revision(json::find_string(wish, {"metadata", "resourceVersion"}));
    for (int tries = 1;; tries++) {
        auto stored = objects_.get(kind_, target_.key);
        if (!stored && stored.error().code() == 404 && kind_.creates_on_update && target_.subresource.empty() &&
            revision.empty())
            return object_reply(201, TRY(create_object(wish)));
        if (!stored) return refuse(std::move(stored.error()));
        const bool unconditional = revision.empty() || revision == "0";
        if (unconditional && (kind_.custom || kind_.resource == kube::leases))
            return unprocessable(
                kind_, target_.key.name,
                {invalid_value("metadata.resourceVersion", json::Value(0), "must be specified for an update")});
        auto updated = update_object(wish, *stored, part());
        if (updated) return object_reply(200, std::move(*updated));
        const bool lost_race = updated.error().refusal.reason == "Conflict" && unconditional &&
                               json::find_string(wish, {"metadata", "uid"}).empty();
        if (!lost_race || tries == patch_tries_max) return refuse(std::move(updated.error()));
    }
}

Outcome<Reply> Rest::patch() {
    if (target_.subresource == "scale") return write_scale();
    if (is_apply_patch(call_.content_type) && target_.subresource != "finalize") return apply();
    const PatchType type = TRY(patch_type(kind_, call_.content_type));
    TRY(read_write_options());
    std::vector<std::string> duplicates;
    auto patch = json::parse(call_.body, &duplicates);
    if (!patch) return refuse(400, "BadRequest", "error decoding patch: " + patch.error().message);
    for (int tries = 1;; tries++) {
        const json::Value stored = TRY(objects_.get(kind_, target_.key));
        json::Value wish = TRY(apply_patch(kind_, type, stored, *patch));
        std::vector<std::string> strict;
        if (const Verdict verdict = decode(kind_, wish, duplicates, strict); !verdict)
            return unprocessable(kind_, target_.key.name,
                                 {invalid_value("patch", json::Value(call_.body), verdict.error().message)});
        warnings_.clear();
        TRY(take_strict_errors(strict, true));
        TRY(check_identity(wish));
        const bool names_revision = json::find_string(wish, {"metadata", "resourceVersion"}) !=
                                    json::find_string(stored, {"metadata", "resourceVersion"});
        if (target_.subresource == "finalize") {
            json::Value next = stored;
            json::set(next, {"spec", "finalizers"},
                      json::Value(json::find(wish, {"spec", "finalizers"}) != nullptr
                                      ? *json::find(wish, {"spec", "finalizers"})
                                      : json::Array()));
            wish = std::move(next);
        }
        auto updated = target_.subresource == "finalize" ? store_update(std::move(wish), stored)
                                                         : update_object(std::move(wish), stored, part());
        if (updated) return object_reply(200, std::move(*updated));
        const bool lost_race = updated.error().refusal.reason == "Conflict" && !names_revision;
        if (!lost_race || tries == patch_tries_max) return refuse(std::move(updated.error()));
    }
}

}  // namespace weft::apiserver
