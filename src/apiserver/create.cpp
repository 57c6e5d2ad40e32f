// create, and what every write shares: options, strict decoding, identity. Source: spec/kubernetes.md §1.4, §1.6, §1.8.
#include <fmt/format.h>

#include "apiserver/managed_fields.h"
#include "apiserver/rest.h"
#include "apiserver/schema.h"
#include "apiserver/validate.h"
#include "base/rng.h"
#include "cloud/pod_networking.h"

namespace weft::apiserver {

static constexpr size_t generated_base_max = 58;
static constexpr size_t generated_suffix = 5;
static constexpr size_t object_bytes_max = 1536 * 1024;  // API-135

Done Rest::read_deadline() {
    const bool reads = target_.verb == Verb::get || target_.verb == Verb::list;
    Duration deadline = reads ? Duration(read_deadline_max) : Duration(write_deadline_max);
    if (const std::string_view text = call_.query.get("timeout"); !text.empty()) {
        const auto asked = cloud::parse_go_duration(text);
        if (!asked) return refuse(400, "BadRequest", fmt::format("timeout: Invalid value: \"{}\"", text));
        if (*asked > Duration()) deadline = std::min(deadline, *asked);
    }
    options_.until = clock_.now() + deadline;
    return {};
}

Done Rest::read_write_options() {
    TRY(read_deadline());
    FieldErrors errors;
    for (const std::string_view value : call_.query.all("dryRun")) {
        if (value == "All")
            options_.dry_run = true;
        else if (!value.empty())
            errors.push_back(not_supported("dryRun", json::Value(value), {"All"}));
    }
    const std::string_view validation = call_.query.get("fieldValidation");
    if (validation == "Strict")
        field_validation_ = FieldValidation::strict;
    else if (validation == "Ignore")
        field_validation_ = FieldValidation::ignore;
    else if (!validation.empty() && validation != "Warn")
        errors.push_back(not_supported("fieldValidation", json::Value(validation), {"", "Ignore", "Warn", "Strict"}));
    const bool applies = target_.verb == Verb::patch && is_apply_patch(call_.content_type);
    const std::string_view manager = call_.query.get("fieldManager");
    if (manager.size() > manager_bytes_max)
        errors.push_back(too_long("fieldManager", fmt::format("may not be more than {} bytes", manager_bytes_max)));
    if (std::any_of(manager.begin(), manager.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }))
        errors.push_back(
            invalid_value("fieldManager", json::Value(manager), "should only contain printable characters"));
    if (applies && manager.empty()) errors.push_back(required("fieldManager", "is required for apply patch"));
    if (call_.query.has("force") && !applies)
        errors.push_back(forbidden_field("force", "may not be specified for non-apply patch"));
    if (!errors.empty()) {
        const bool is_patch = target_.verb == Verb::patch;
        return invalid_options(is_patch                       ? "PatchOptions"
                               : target_.verb == Verb::create ? "CreateOptions"
                                                              : "UpdateOptions",
                               std::move(errors));
    }
    return {};
}

Done Rest::take_strict_errors(const std::vector<std::string>& strict, bool of_patch) {
    if (strict.empty() || field_validation_ == FieldValidation::ignore) return {};
    if (field_validation_ == FieldValidation::warn) {
        warnings_.insert(warnings_.end(), strict.begin(), strict.end());
        return {};
    }
    const std::string text = fmt::format("strict decoding error: {}", fmt::join(strict, ", "));
    if (!of_patch) return refuse(400, "BadRequest", text);
    return unprocessable(kind_, target_.key.name, {invalid_value("patch", json::Value(call_.body), text)});
}

Outcome<json::Value> Rest::read_object() {
    std::vector<std::string> duplicates, strict;
    json::Value object = TRY(decode_body(call_, &duplicates));
    TRY(decode(kind_, object, duplicates, strict));
    TRY(take_strict_errors(strict, false));
    json::Object& metadata = object.get_object()["metadata"].is_object()
                                 ? object.get_object()["metadata"].get_object()
                                 : object.get_object()["metadata"].emplace_object();
    metadata.erase("selfLink");
    TRY(check_identity(object));
    return object;
}

Done Rest::check_identity(json::Value& object) {
    const std::string_view ns = json::find_string(object, {"metadata", "namespace"});
    if (kind_.resource.namespaced) {
        if (!ns.empty() && ns != target_.key.ns)
            return refuse(
                400, "BadRequest",
                fmt::format("the namespace of the provided object does not match the namespace sent on the request"
                            " ({} vs {})",
                            ns, target_.key.ns));
        json::set(object, {"metadata", "namespace"}, json::Value(target_.key.ns));
    } else {
        json::erase(object, {"metadata", "namespace"});
    }
    const std::string_view name = json::find_string(object, {"metadata", "name"});
    if (target_.key.name.empty()) return {};
    if (name.empty() && target_.verb == Verb::update) {
        json::set(object, {"metadata", "name"}, json::Value(target_.key.name));
    } else if (name != target_.key.name) {
        return refuse(
            400, "BadRequest",
            fmt::format("the name of the object ({}) does not match the name on the URL ({})", name, target_.key.name));
    }
    return {};
}

Done Rest::check_size(const json::Value& object) {
    if (json::serialize(object).size() <= object_bytes_max) return {};
    return refuse(413, "RequestEntityTooLarge", fmt::format("Request entity too large: limit is {}", object_bytes_max));
}

void Rest::add_warnings(const json::Value& object) {
    for (std::string& warning : write_warnings(kind_, object)) warnings_.push_back(std::move(warning));
}

Outcome<Reply> Rest::create() {
    if (target_.subresource == "binding") return bind_pod();
    if (target_.subresource == "token") return create_token();
    TRY(read_write_options());
    return object_reply(201, TRY(create_object(TRY(read_object()))));
}

Outcome<json::Value> Rest::create_object(json::Value object, const json::Value* managed_fields) {
    if (!json::find_string(object, {"metadata", "resourceVersion"}).empty())
        return refuse(500, "InternalError",
                      "Internal error occurred: resourceVersion should not be set on objects to be created");
    const std::string base(json::find_string(object, {"metadata", "generateName"}));
    const bool generates = json::find_string(object, {"metadata", "name"}).empty() && !base.empty();
    apply_defaults(kind_, object);
    const json::Value* sent = json::find(object, {"metadata", "managedFields"});
    const std::optional<json::Value> given = sent == nullptr ? std::nullopt : std::optional(*sent);
    prepare_create(kind_, object);
    if (managed_fields != nullptr)
        set_managed_fields(object, *managed_fields);
    else
        track_fields(object, nullptr, given ? &*given : nullptr, Part::main);
    json::set(object, {"metadata", "uid"}, json::Value(random_uuid()));
    json::set(object, {"metadata", "creationTimestamp"}, json::Value(rfc3339(clock_.wall())));
    if (is_crd(kind_)) establish(*kinds_.table(), object, clock_);
    for (int tries = 1;; tries++) {
        if (generates)
            json::set(object, {"metadata", "name"},
                      json::Value(base.substr(0, generated_base_max) + random_name_suffix(generated_suffix)));
        const std::string_view name = json::find_string(object, {"metadata", "name"});
        FieldErrors errors = validate_create(kind_, object);
        if (!errors.empty()) return unprocessable(kind_, name, std::move(errors));
        TRY(check_size(object));
        auto created = objects_.create(kind_, object, options_);
        if (created) {
            add_warnings(*created);
            if (is_crd(kind_) && !options_.dry_run) kinds_.put(*created);
            return created;
        }
        Failure failure = std::move(created.error());
        if (!generates || failure.refusal.reason != "AlreadyExists") return refuse(std::move(failure));
        if (tries < generate_name_tries_max) continue;
        failure.refusal.message += ", the server was not able to generate a unique name for the object";
        failure.retry_after_s = 1;
        return refuse(std::move(failure));
    }
}

}  // namespace weft::apiserver
