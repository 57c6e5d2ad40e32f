#include "apiserver/failure.h"

#include <fmt/format.h>

namespace weft::apiserver {

static Refusal refusal_of(const Error& error) {
    switch (error.code) {
        case Code::gone: return {410, "Expired", error.message, {}};
        case Code::unavailable: return {429, "TooManyRequests", error.message, {}};
        case Code::timeout: return {504, "Timeout", "Timeout: " + error.message, {}};
        default: return {500, "InternalError", "Internal error occurred: " + error.message, {{"", "", error.message}}};
    }
}

Failure::Failure(Error error) : refusal(refusal_of(error)) {
    if (refusal.code == 429) retry_after_s = 1;
}

Failure Failure::about(const Kind& of, std::string_view object_name) && {
    name = object_name;
    group = of.group;
    kind = of.plural;
    return std::move(*this);
}

std::unexpected<Failure> refuse(int code, std::string_view reason, std::string message) {
    return std::unexpected(Failure(Refusal{code, std::string(reason), std::move(message), {}}));
}

static std::unexpected<Failure> about(const Kind& kind, std::string_view name, int code, std::string_view reason,
                                      std::string message) {
    return std::unexpected(Failure(Refusal{code, std::string(reason), std::move(message), {}}).about(kind, name));
}

std::unexpected<Failure> not_found(const Kind& kind, std::string_view name) {
    return about(kind, name, 404, "NotFound", fmt::format("{} \"{}\" not found", kind.group_plural(), name));
}

std::unexpected<Failure> already_exists(const Kind& kind, std::string_view name) {
    return about(kind, name, 409, "AlreadyExists", fmt::format("{} \"{}\" already exists", kind.group_plural(), name));
}

std::unexpected<Failure> conflict(const Kind& kind, std::string_view name, std::string_view why) {
    if (why.empty())
        why = "the object has been modified; please apply your changes to the latest version and try again";
    return about(kind, name, 409, "Conflict",
                 fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", kind.group_plural(), name, why));
}

std::unexpected<Failure> method_not_allowed(const Kind& kind, std::string_view verb) {
    return about(kind, {}, 405, "MethodNotAllowed",
                 fmt::format("{} is not supported on resources of kind \"{}\"", verb, kind.group_plural()));
}

std::unexpected<Failure> expired(std::string message) { return refuse(410, "Expired", std::move(message)); }

std::unexpected<Failure> unprocessable(const Kind& kind, std::string_view name, FieldErrors errors) {
    Failure failure(invalid(kind, name, std::move(errors)));
    failure.name = name;
    failure.group = kind.group;
    failure.kind = kind.kind_name;
    return std::unexpected(std::move(failure));
}

std::unexpected<Failure> invalid_options(std::string_view options_kind, FieldErrors errors) {
    Kind options;
    options.group = "meta.k8s.io";
    options.kind_name = options_kind;
    return unprocessable(options, "", std::move(errors));
}

json::Value status_object(const Failure& failure) {
    const Refusal& refusal = failure.refusal;
    json::Object details;
    if (!failure.name.empty()) details["name"] = failure.name;
    if (!failure.group.empty()) details["group"] = failure.group;
    if (!failure.kind.empty()) details["kind"] = failure.kind;
    if (!failure.uid.empty()) details["uid"] = failure.uid;
    if (!refusal.causes.empty()) {
        json::Array causes;
        for (const FieldError& cause : refusal.causes) {
            json::Object one;
            if (!cause.reason.empty()) one["reason"] = cause.reason;
            one["message"] = cause.message;
            if (!cause.field.empty()) one["field"] = cause.field;
            causes.push_back(std::move(one));
        }
        details["causes"] = std::move(causes);
    }
    if (failure.retry_after_s > 0) details["retryAfterSeconds"] = failure.retry_after_s;
    json::Object metadata;
    if (!failure.continue_token.empty()) metadata["continue"] = failure.continue_token;
    json::Object status{{"kind", "Status"},    {"apiVersion", "v1"},         {"metadata", std::move(metadata)},
                        {"status", "Failure"}, {"message", refusal.message}, {"reason", refusal.reason}};
    // kubectl debug reads them of a 404 without asking whether they are there.
    if (!details.empty() || failure.refusal.code == 404) status["details"] = std::move(details);
    status["code"] = refusal.code;
    return status;
}

json::Value success_object(const Kind& kind, const json::Value& object) {
    json::Object details{{"name", json::find_string(object, {"metadata", "name"})},
                         {"kind", kind.plural},
                         {"uid", json::find_string(object, {"metadata", "uid"})}};
    if (!kind.group.empty()) details["group"] = kind.group;
    return json::Object{{"kind", "Status"},
                        {"apiVersion", "v1"},
                        {"metadata", json::Object{}},
                        {"status", "Success"},
                        {"details", std::move(details)},
                        {"code", 200}};
}

}  // namespace weft::apiserver
