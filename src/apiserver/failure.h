// Failure: why a request is not answered with what it asked for: a Refusal (kind.h) plus the details of the object and
// how long to wait; it becomes the Status object that clients compare. Outcome<T> is a value or a Failure. An Error of
// the store becomes 410, 409, 429 or 500, never an empty list or a 404 (API-30). Threads: values. Source:
// spec/kubernetes.md §0, §1.3.
#pragma once
#include <expected>
#include <string>
#include <string_view>

#include "apiserver/kind.h"

namespace weft::apiserver {

struct Failure {
    Refusal refusal;
    std::string name, group, kind, uid;  // details; kind is the plural for 404 and 409, the Kind for 422
    int retry_after_s = 0;
    std::string continue_token;  // 410 of a list: how to go on at the newest revision

    Failure(Refusal why)  // NOLINT(google-explicit-constructor): TRY converts
        : refusal(std::move(why)), name(refusal.name), group(refusal.group), kind(refusal.kind) {}
    Failure(Error error);  // NOLINT(google-explicit-constructor): TRY converts

    int code() const { return refusal.code; }
    Failure about(const Kind& of, std::string_view object_name) &&;  // fills name, group, kind (plural)
};

template <class T>
using Outcome = std::expected<T, Failure>;
using Done = std::expected<void, Failure>;

inline std::unexpected<Failure> refuse(Failure failure) { return std::unexpected(std::move(failure)); }
std::unexpected<Failure> refuse(int code, std::string_view reason, std::string message);

std::unexpected<Failure> not_found(const Kind& kind, std::string_view name);
std::unexpected<Failure> already_exists(const Kind& kind, std::string_view name);
std::unexpected<Failure> conflict(const Kind& kind, std::string_view name, std::string_view why = {});
std::unexpected<Failure> method_not_allowed(const Kind& kind, std::string_view verb);
std::unexpected<Failure> expired(std::string message);
// A 422 about options (ListOptions, PatchOptions, DeleteOptions) instead of an object.
std::unexpected<Failure> invalid_options(std::string_view options_kind, FieldErrors errors);
std::unexpected<Failure> unprocessable(const Kind& kind, std::string_view name, FieldErrors errors);

json::Value status_object(const Failure& failure);
// status: Success with the details of what was deleted.
json::Value success_object(const Kind& kind, const json::Value& object);

}  // namespace weft::apiserver
