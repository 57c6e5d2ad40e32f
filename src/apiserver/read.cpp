// get and list: snapshots, chunks, tables. Source: spec/kubernetes.md API-22, API-46..49, §1.10.
#include <fmt/format.h>

#include "apiserver/continue_token.h"
#include "apiserver/rest.h"
#include "apiserver/table.h"
#include "apiserver/validate.h"
#include "base/strings.h"

namespace weft::apiserver {

static constexpr size_t deadline_check_period = 256;  // objects of a list

static constexpr size_t list_limit_max = 1'000'000;

json::Value list_head(const Kind& kind, store::Revision revision) {
    return json::Object{{"kind", kind.list_kind},
                        {"apiVersion", kind.api_version()},
                        {"metadata", json::Object{{"resourceVersion", fmt::to_string(revision)}}}};
}

Outcome<std::optional<store::Revision>> read_revision(const http::Query& query) {
    const std::string_view text = query.get("resourceVersion");
    if (text.empty()) return std::optional<store::Revision>();
    const auto revision = parse_unsigned(text);
    if (!revision || *revision > uint64_t(INT64_MAX))
        return refuse(400, "BadRequest", fmt::format("resourceVersion: Invalid value: \"{}\"", text));
    return std::optional<store::Revision>(store::Revision(*revision));
}

Done wait_for_revision(store::Log& log, store::Revision revision, const Clock& clock) {
    if (revision <= log.revision() || log.wait_for(revision, clock.now() + future_revision_wait_max)) return {};
    const std::string text = fmt::format("Too large resource version: {}, current: {}", revision, log.revision());
    Failure failure(Refusal{504, "Timeout", "Timeout: " + text, {{"ResourceVersionTooLarge", "", text}}});
    failure.retry_after_s = 1;
    return refuse(std::move(failure));
}

static Outcome<IncludeObject> read_include_object(const http::Query& query) {
    const auto include = parse_include_object(query.get("includeObject"));
    if (!include)
        return refuse(400, "BadRequest",
                      fmt::format("unrecognized includeObject value: \"{}\"", query.get("includeObject")));
    return *include;
}

Outcome<Reply> Rest::object_reply(int status, json::Value object, bool may_be_table) {
    const Accepted accepted =
        TRY(may_be_table ? negotiate(call_, {Shape::table, Shape::partial}) : negotiate(call_, {Shape::partial}));
    if (accepted.shape == Shape::table) {
        const json::Value* one = &object;
        json::Value table = to_table(kind_, std::span(&one, 1), TRY(read_include_object(call_.query)), clock_.wall());
        json::set(table, {"metadata", "resourceVersion"},
                  json::Value(json::find_string(object, {"metadata", "resourceVersion"})));
        json::set(table, {"apiVersion"}, json::Value("meta.k8s.io/" + accepted.version));
        object = std::move(table);
    } else if (accepted.shape == Shape::partial) {
        object = partial_metadata(object);
    }
    return json_reply(status, object, accepted);
}

Outcome<Reply> Rest::get() {
    if (target_.subresource == "scale") return get_scale();
    const auto revision = TRY(read_revision(call_.query));
    if (revision) TRY(wait_for_revision(objects_.log(), *revision, clock_));
    return object_reply(200, TRY(objects_.get(kind_, target_.key)), true);
}

namespace {

struct ListRequest {
    store::RangeOptions range;
    store::Revision shown = 0;  // of a continued list: its first page's
    bool continued = false;
};

// resourceVersion, resourceVersionMatch, limit and continue, as API-46 and API-49 combine them.
Outcome<ListRequest> read_list_request(const http::Query& query, std::string_view prefix) {
    const auto revision = TRY(read_revision(query));
    const std::string_view match = query.get("resourceVersionMatch");
    const std::string_view token = query.get("continue");
    FieldErrors errors;
    if (!match.empty()) {
        if (!token.empty())
            errors.push_back(
                forbidden_field("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
        else if (!revision)
            errors.push_back(forbidden_field("resourceVersionMatch",
                                             "resourceVersionMatch is forbidden unless resourceVersion is provided"));
        if (match != "Exact" && match != "NotOlderThan")
            errors.push_back(not_supported("resourceVersionMatch", json::Value(match), {"Exact", "NotOlderThan", ""}));
        else if (match == "Exact" && revision && *revision == 0)
            errors.push_back(forbidden_field("resourceVersionMatch",
                                             "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\""));
    }
    if (query.has("sendInitialEvents"))
        errors.push_back(forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    ListRequest request;
    if (const std::string_view limit = query.get("limit"); !limit.empty()) {
        const auto number = parse_unsigned(limit);
        if (!number && limit.starts_with('-') && parse_unsigned(limit.substr(1)))
            errors.push_back(invalid_value("limit", json::Value(limit), "must be greater than or equal to 0"));
        else if (!number) return refuse(400, "BadRequest", fmt::format("limit: Invalid value: \"{}\"", limit));
        else request.range.limit = std::min<uint64_t>(*number, list_limit_max);
    }
    if (!errors.empty()) return invalid_options("ListOptions", std::move(errors));
    if (!token.empty()) {
        if (revision && *revision != 0)
            return refuse(400, "BadRequest", "specifying resource version is not allowed when using continue");
        const ContinueToken parsed = TRY(ContinueToken::decode(token, prefix));
        request.range.start_after = parsed.last_key;
        request.range.revision = parsed.revision;
        request.continued = true;
        return request;
    }
    if (revision && *revision > 0) {
        request.shown = *revision;
        if (match == "Exact" || (match.empty() && request.range.limit > 0)) request.range.revision = *revision;
    }
    return request;
}

}  // namespace

Outcome<Reply> Rest::list() {
    const Accepted accepted = TRY(negotiate(call_, {Shape::table, Shape::partial_list}));
    const Selector selector =
        TRY(Selector::parse(kind_, call_.query.get("labelSelector"), call_.query.get("fieldSelector")));
    const std::string prefix = prefix_of(kind_.resource, target_.key.ns);
    ListRequest request = TRY(read_list_request(call_.query, prefix));
    const IncludeObject include = TRY(read_include_object(call_.query));
    store::Log& log = objects_.log();
    TRY(wait_for_revision(log, std::max(request.shown, request.range.revision), clock_));
    request.range.count_rest = selector.matches_all();

    TRY(read_deadline());
    // With a selector a page may need several reads of the log until it is full.
    std::vector<json::Value> items;
    const size_t limit = request.range.limit;
    store::RangeResult page;
    std::string last_key;
    bool more = false;
    do {
        auto read = log.range(prefix, request.range);
        if (!read && read.error().code == Code::gone && request.continued) {
            Failure failure(Refusal{410,
                                    "Expired",
                                    "The provided continue parameter is too old to display a consistent list "
                                    "result. You can start a new list without the continue parameter, or use "
                                    "the continue token in this response to retrieve the remainder of the "
                                    "results at the newest revision.",
                                    {}});
            failure.continue_token = ContinueToken{0, request.range.start_after}.encode();
            return refuse(std::move(failure));
        }
        if (!read) return refuse(read.error());
        page = std::move(*read);
        more = page.more;
        for (size_t i = 0; i < page.entries.size(); i++) {
            const store::Entry& entry = page.entries[i];
            if (i % deadline_check_period == 0 && clock_.now() > options_.until)
                return refuse(504, "Timeout", "Timeout: the list took longer than its time");
            json::Value object = inflate(kind_, entry.value, entry.revision);
            last_key = entry.key;
            if (!selector.matches(object)) continue;
            items.push_back(std::move(object));
            if (limit != 0 && items.size() == limit) {
                more = more || i + 1 < page.entries.size();
                break;
            }
        }
        request.range.revision = page.revision;
        request.range.start_after = last_key;
    } while (more && items.size() < limit);

    json::Value head = list_head(kind_, page.revision);
    if (more) {
        json::set(head, {"metadata", "continue"}, json::Value(ContinueToken{page.revision, last_key}.encode()));
        if (selector.matches_all())
            json::set(head, {"metadata", "remainingItemCount"}, json::Value(int64_t(page.rest)));
    }
    if (accepted.shape == Shape::table) {
        std::vector<const json::Value*> rows;
        for (const json::Value& item : items) rows.push_back(&item);
        json::Value table = to_table(kind_, rows, include, clock_.wall());
        json::set(table, {"metadata"}, json::Value(*json::find(head, {"metadata"})));
        json::set(table, {"apiVersion"}, json::Value("meta.k8s.io/" + accepted.version));
        return json_reply(200, table, accepted);
    }
    json::Array array;
    array.reserve(items.size());
    for (json::Value& item : items)
        array.push_back(accepted.shape == Shape::partial_list ? partial_metadata(item) : std::move(item));
    if (accepted.shape == Shape::partial_list) {
        json::set(head, {"kind"}, "PartialObjectMetadataList");
        json::set(head, {"apiVersion"}, json::Value("meta.k8s.io/" + accepted.version));
    }
    json::set(head, {"items"}, json::Value(std::move(array)));
    return json_reply(200, head, accepted);
}

}  // namespace weft::apiserver
