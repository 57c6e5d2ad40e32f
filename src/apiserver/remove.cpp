// delete and deletecollection.
//
//   finalizers, or a Pod's grace → deletionTimestamp is set, the object stays (200 with the object) until an update
//   empties the finalizers, or a delete with grace 0 comes; otherwise it goes at once (200 with status Success).
//   Foreground and Orphan are finalizers that the garbage collector works off; Background removes them.
//
// Source: spec/kubernetes.md API-69..72, API-95, API-120.
#include <fmt/format.h>

#include <charconv>

#include "apiserver/rest.h"
#include "apiserver/validate.h"
#include "base/strings.h"

namespace weft::apiserver {

static constexpr int64_t pod_grace_default_s = 30;

Outcome<Rest::DeleteOptions> Rest::read_delete_options() {
    DeleteOptions options;
    TRY(read_write_options());
    json::Value body = json::Object{};
    if (!trim(call_.body).empty()) body = TRY(decode_body(call_, nullptr));
    if (!body.is_object()) return refuse(400, "BadRequest", "the body must be a DeleteOptions object");
    const std::string_view kind = json::find_string(body, {"kind"}, "DeleteOptions");
    if (kind != "DeleteOptions")
        return refuse(400, "BadRequest", fmt::format("{} cannot be handled as a DeleteOptions", kind));
    options.uid = json::find_string(body, {"preconditions", "uid"});
    options.resource_version = json::find_string(body, {"preconditions", "resourceVersion"});
    options.propagation = json::find_string(body, {"propagationPolicy"}, call_.query.get("propagationPolicy"));
    FieldErrors errors;
    if (const std::string_view text = call_.query.get("gracePeriodSeconds"); !text.empty()) {
        int64_t grace = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), grace);
        if (error != std::errc() || end != text.data() + text.size())
            return refuse(400, "BadRequest", fmt::format("gracePeriodSeconds: Invalid value: \"{}\"", text));
        options.grace_s = grace;
    }
    if (const json::Value* grace = json::find(body, {"gracePeriodSeconds"}); grace != nullptr && !grace->is_null()) {
        if (!grace->is_int64()) return refuse(400, "BadRequest", "gracePeriodSeconds must be an integer");
        options.grace_s = grace->get_int64();
    }
    if (options.grace_s && *options.grace_s < 0) options.grace_s = 1;
    for (const std::string& dry_run : json::find_strings(body, {"dryRun"})) {
        if (dry_run == "All") options_.dry_run = true;
        else errors.push_back(not_supported("dryRun", json::Value(dry_run), {"All"}));
    }
    const json::Value* orphan = json::find(body, {"orphanDependents"});
    const bool has_orphan = orphan != nullptr && !orphan->is_null();
    if (has_orphan && !options.propagation.empty())
        errors.push_back(invalid_value("propagationPolicy", json::Value(options.propagation),
                                       "orphanDependents and deletionPropagation cannot be both set"));
    else if (has_orphan && orphan->is_bool()) options.propagation = orphan->get_bool() ? "Orphan" : "Background";
    const std::string& policy = options.propagation;
    if (!policy.empty() && policy != "Background" && policy != "Foreground" && policy != "Orphan")
        errors.push_back(
            not_supported("propagationPolicy", json::Value(policy), {"Foreground", "Background", "Orphan"}));
    if (!errors.empty()) return invalid_options("DeleteOptions", std::move(errors));
    return options;
}

// How long a Pod may take; 0 for everything else, and for a Pod that runs nowhere.
static int64_t grace_of(const Kind& kind, const json::Value& object, const std::optional<int64_t>& asked) {
    if (!kind.is_graceful) return 0;
    const std::string_view phase = json::find_string(object, {"status", "phase"});
    if (json::find_string(object, {"spec", "nodeName"}).empty() || phase == "Succeeded" || phase == "Failed") return 0;
    if (asked) return *asked;
    return json::find_int(object, {"spec", "terminationGracePeriodSeconds"}, pod_grace_default_s);
}

static void set_finalizer(kube::Object& object, std::string_view name, bool present) {
    if (present) object.add_finalizer(name);
    else object.remove_finalizer(name);
}

Outcome<Rest::Deleted> Rest::delete_once(const json::Value& stored, const DeleteOptions& options) {
    const kube::ObjectKey key{std::string(json::find_string(stored, {"metadata", "namespace"})),
                              std::string(json::find_string(stored, {"metadata", "name"}))};
    const std::string_view uid = json::find_string(stored, {"metadata", "uid"});
    if (!options.uid.empty() && options.uid != uid)
        return conflict(
            kind_, key.name,
            fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", options.uid, uid));
    const std::string_view revision = json::find_string(stored, {"metadata", "resourceVersion"});
    if (!options.resource_version.empty() && options.resource_version != revision)
        return conflict(kind_, key.name,
                        fmt::format("Precondition failed: ResourceVersion in precondition: {}, "
                                    "ResourceVersion in object meta: {}",
                                    options.resource_version, revision));

    kube::Object wish(stored);
    const bool was_deleting = wish.deleting();
    if (!options.propagation.empty() || !was_deleting) {
        const std::string& policy = options.propagation;
        if (policy == "Foreground" || policy == "Orphan" || policy == "Background") {
            set_finalizer(wish, "foregroundDeletion", policy == "Foreground");
            set_finalizer(wish, "orphan", policy == "Orphan");
        }
    }
    int64_t grace = grace_of(kind_, stored, options.grace_s);
    if (was_deleting) {
        // A second delete may only shorten the grace (API-70).
        const int64_t before = wish.integer({"metadata", "deletionGracePeriodSeconds"});
        grace = options.grace_s ? std::min(grace, before) : before;
    }
    if (grace == 0 && !has_finalizers(wish.body())) {
        json::Value removed = TRY(objects_.remove(kind_, key, revision_of(stored), options_));
        if (is_crd(kind_) && !options_.dry_run) kinds_.remove(key.name);
        return Deleted{std::move(removed), true};
    }
    if (!was_deleting || grace < wish.integer({"metadata", "deletionGracePeriodSeconds"})) {
        wish.set({"metadata", "deletionTimestamp"}, rfc3339(clock_.wall() + std::chrono::seconds(grace)));
        wish.set({"metadata", "deletionGracePeriodSeconds"}, grace);
        if (kind_.has_generation && !was_deleting) wish.set({"metadata", "generation"}, wish.generation() + 1);
        if (kind_.resource == kube::namespaces) wish.set({"status", "phase"}, "Terminating");
    }
    if (wish.body() == stored) return Deleted{stored, false};
    TRY(objects_.may_remove(kind_, key, options_.until));
    return Deleted{TRY(objects_.update(kind_, std::move(wish.body()), revision_of(stored), options_)), false};
}

Outcome<Rest::Deleted> Rest::delete_object(const kube::ObjectKey& key, const DeleteOptions& options) {
    for (int tries = 1;; tries++) {
        const json::Value stored = TRY(objects_.get(kind_, key));
        auto deleted = delete_once(stored, options);
        const bool has_precondition = !options.uid.empty() || !options.resource_version.empty();
        if (deleted || deleted.error().refusal.reason != "Conflict" || has_precondition || tries == patch_tries_max)
            return deleted;
    }
}

Outcome<Reply> Rest::remove() {
    const DeleteOptions options = TRY(read_delete_options());
    Deleted deleted = TRY(delete_object(target_.key, options));
    if (is_crd(kind_) && !deleted.gone && !options_.dry_run) {
        // Its objects go first; those with finalizers hold it until the last one is gone (finish_crd).
        TRY(remove_custom_objects(objects_, kinds_, clock_, deleted.object));
        if (!objects_.get(kind_, target_.key)) deleted.gone = true;
    }
    if (!kind_.crd_name.empty() && deleted.gone && !options_.dry_run) finish_crd(objects_, kinds_, kind_.crd_name);
    if (!deleted.gone) return object_reply(200, std::move(deleted.object));
    const Accepted accepted = TRY(negotiate(call_, {Shape::partial}));
    return json_reply(200, success_object(kind_, deleted.object), accepted);
}

Outcome<Reply> Rest::remove_collection() {
    const DeleteOptions options = TRY(read_delete_options());
    const Accepted accepted = TRY(negotiate(call_, {}));
    const Selector selector =
        TRY(Selector::parse(kind_, call_.query.get("labelSelector"), call_.query.get("fieldSelector")));
    store::RangeResult range = TRY(objects_.log().range(prefix_of(kind_.resource, target_.key.ns)));
    json::Value head = list_head(kind_, range.revision);
    json::Array items;
    for (const store::Entry& entry : range.entries) {
        const json::Value object = inflate(kind_, entry.value, entry.revision);
        if (!selector.matches(object)) continue;
        const kube::ObjectKey key{std::string(json::find_string(object, {"metadata", "namespace"})),
                                  std::string(json::find_string(object, {"metadata", "name"}))};
        auto deleted = delete_object(key, options);
        if (!deleted && deleted.error().code() == 404) continue;  // already gone
        if (!deleted) return refuse(std::move(deleted.error()));
        items.push_back(std::move(deleted->object));
    }
    if (!kind_.crd_name.empty() && !options_.dry_run) finish_crd(objects_, kinds_, kind_.crd_name);
    json::set(head, {"items"}, json::Value(std::move(items)));
    return json_reply(200, head, accepted);
}

}  // namespace weft::apiserver
