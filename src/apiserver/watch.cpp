// watch: a stream of events, one JSON object a line, from a revision on, none twice, none lost, in order.
//
//   resourceVersion absent or 0 → ADDED for everything there is, then changes
//   resourceVersion N           → every change after N; too old: one ERROR event with a 410 Status, then the end
//   sendInitialEvents=true      → ADDED for a state not older than N, a BOOKMARK that says so, then changes
//
// An object that stops matching the selector is DELETED, one that begins to match is ADDED. A watcher too slow for the
// store's buffer is closed; the client resumes from its last resourceVersion. Source: spec/kubernetes.md API-52..60.
#include <fmt/format.h>

#include "apiserver/rest.h"
#include "apiserver/table.h"
#include "apiserver/validate.h"
#include "base/rng.h"
#include "base/strings.h"

namespace weft::apiserver {

static constexpr auto bookmark_period = std::chrono::seconds(60);
static constexpr auto client_check_period = std::chrono::seconds(2);
static constexpr int64_t timeout_min_s = 1800;  // API-56: random in [1800, 3600) when the client names none
static constexpr int64_t timeout_max_s = 24 * 3600;

namespace {

struct WatchRequest {
    std::optional<store::Revision> revision;
    bool initial_events = false;    // ADDED for what is there
    bool initial_bookmark = false;  // sendInitialEvents
    bool bookmarks = false;
    int64_t timeout_s = 0;
    Selector selector;
    Accepted accepted;
    IncludeObject include = IncludeObject::metadata;
};

bool query_flag(const http::Query& query, std::string_view name) {
    const std::string_view value = query.get(name);
    return value == "true" || value == "1";
}

Outcome<WatchRequest> read_watch_request(const Kind& kind, const Target& target, const Call& call) {
    const http::Query& query = call.query;
    WatchRequest request;
    request.accepted = TRY(negotiate(call, {Shape::table, Shape::partial, Shape::partial_list}));
    std::string fields(query.get("fieldSelector"));
    if (!target.key.name.empty()) fields += (fields.empty() ? "metadata.name=" : ",metadata.name=") + target.key.name;
    request.selector = TRY(Selector::parse(kind, query.get("labelSelector"), fields));
    request.revision = TRY(read_revision(query));
    request.bookmarks = query_flag(query, "allowWatchBookmarks");
    const auto include = parse_include_object(query.get("includeObject"));
    if (!include) return refuse(400, "BadRequest", "unrecognized includeObject value");
    request.include = *include;

    FieldErrors errors;
    const std::string_view match = query.get("resourceVersionMatch");
    const bool has_initial = query.has("sendInitialEvents");
    if (has_initial && match != "NotOlderThan")
        errors.push_back(forbidden_field("resourceVersionMatch",
                                         "sendInitialEvents requires setting resourceVersionMatch to "
                                         "NotOlderThan"));
    if (!has_initial && !match.empty())
        errors.push_back(forbidden_field("resourceVersionMatch",
                                         "resourceVersionMatch is forbidden for watch unless "
                                         "sendInitialEvents is provided"));
    if (has_initial && query_flag(query, "sendInitialEvents") && !request.bookmarks)
        errors.push_back(forbidden_field("allowWatchBookmarks", "sendInitialEvents requires allowWatchBookmarks"));
    if (!query.get("continue").empty())
        errors.push_back(forbidden_field("continue", "continue is forbidden for watch"));
    if (const std::string_view text = query.get("timeoutSeconds"); !text.empty()) {
        const auto seconds = parse_unsigned(text);
        if (!seconds) return refuse(400, "BadRequest", fmt::format("timeoutSeconds: Invalid value: \"{}\"", text));
        request.timeout_s = std::min<int64_t>(int64_t(std::min<uint64_t>(*seconds, timeout_max_s)), timeout_max_s);
    }
    if (!errors.empty()) return invalid_options("ListOptions", std::move(errors));
    if (request.timeout_s == 0) {
        uint8_t random[2];
        secure_random(random);
        request.timeout_s = timeout_min_s + (random[0] << 8 | random[1]) % timeout_min_s;
    }
    request.initial_bookmark = has_initial && query_flag(query, "sendInitialEvents");
    const bool from_now = !request.revision || *request.revision == 0;
    request.initial_events = request.initial_bookmark || (from_now && !has_initial);
    return request;
}

// Writes events in the shape the client asked for.
class EventWriter {
public:
    EventWriter(const Kind& kind, const WatchRequest& request, const Clock& clock, Sink& sink)
        : kind_(kind), request_(request), clock_(clock), sink_(sink) {}

    bool object_event(std::string_view type, json::Value object) {
        if (request_.accepted.shape == Shape::table) {
            const json::Value* one = &object;
            json::Value table = to_table(kind_, std::span(&one, 1), request_.include, clock_.wall(), !columns_sent_);
            columns_sent_ = true;
            json::set(table, {"metadata", "resourceVersion"},
                      json::Value(json::find_string(object, {"metadata", "resourceVersion"})));
            json::set(table, {"apiVersion"}, json::Value("meta.k8s.io/" + request_.accepted.version));
            object = std::move(table);
        } else if (is_partial()) {
            object = partial_metadata(object);
        }
        return line(type, std::move(object));
    }

    bool bookmark(store::Revision revision, bool ends_initial) {
        json::Object metadata{{"resourceVersion", fmt::to_string(revision)}};
        if (ends_initial) metadata["annotations"] = json::Object{{"k8s.io/initial-events-end", "true"}};
        json::Object object{
            {"kind", kind_.kind_name}, {"apiVersion", kind_.api_version()}, {"metadata", std::move(metadata)}};
        if (is_partial()) {
            object["kind"] = "PartialObjectMetadata";
            object["apiVersion"] = "meta.k8s.io/" + request_.accepted.version;
        } else if (request_.accepted.shape == Shape::table) {
            object["kind"] = "Table";
            object["apiVersion"] = "meta.k8s.io/" + request_.accepted.version;
            object["columnDefinitions"] = nullptr;
            object["rows"] = json::Array();
        }
        return line("BOOKMARK", std::move(object));
    }

    bool error(const Failure& failure) { return line("ERROR", status_object(failure)); }

private:
    bool is_partial() const {
        return request_.accepted.shape == Shape::partial || request_.accepted.shape == Shape::partial_list;
    }

    bool line(std::string_view type, json::Value object) {
        std::string text = json::serialize(json::Object{{"type", type}, {"object", std::move(object)}});
        text += '\n';
        return sink_.write(text);
    }

    const Kind& kind_;
    const WatchRequest& request_;
    const Clock& clock_;
    Sink& sink_;
    bool columns_sent_ = false;
};

// One change as this watcher sees it; true unless the client is gone.
bool write_change(EventWriter& writer, const Kind& kind, const Selector& selector, const store::Event& event) {
    std::optional<json::Value> now, before;
    if (!event.value.empty()) now = inflate(kind, event.value, event.revision);
    const bool matches_now = now && selector.matches(*now);
    if (event.type == store::Event::Type::updated && selector.matches_all())
        return writer.object_event("MODIFIED", std::move(*now));
    if (!event.previous_value.empty()) before = inflate(kind, event.previous_value, event.revision);
    const bool matched_before = before && selector.matches(*before);
    if (matches_now) return writer.object_event(matched_before ? "MODIFIED" : "ADDED", std::move(*now));
    if (matched_before) return writer.object_event("DELETED", std::move(*before));
    return true;
}

}  // namespace

Outcome<Reply> Rest::watch() {
    auto request = std::make_shared<WatchRequest>(TRY(read_watch_request(kind_, target_, call_)));
    store::Log& log = objects_.log();
    if (request->revision) TRY(wait_for_revision(log, *request->revision, clock_));
    const std::string prefix = prefix_of(kind_.resource, target_.key.ns);

    auto initial = std::make_shared<store::RangeResult>();
    store::Revision from = request->revision.value_or(0);
    if (request->initial_events) {
        *initial = TRY(log.range(prefix));
        from = initial->revision;
    } else if (from == 0) {
        from = log.revision();
    }
    std::shared_ptr<store::Watch> events;
    auto opened = log.watch(prefix, from);
    std::optional<Failure> too_old;
    if (opened) events = std::move(*opened);
    else too_old = Failure(opened.error());

    Reply reply;
    reply.content_type = "application/json";
    reply.stream = [table = target_.table, kind = &kind_, request, initial, from, events, too_old,
                    &clock = clock_](Sink& sink) {
        EventWriter writer(*kind, *request, clock, sink);
        if (too_old) {
            writer.error(*too_old);
            return;
        }
        for (const store::Entry& entry : initial->entries) {
            json::Value object = inflate(*kind, entry.value, entry.revision);
            if (request->selector.matches(object) && !writer.object_event("ADDED", std::move(object))) return;
        }
        initial->entries.clear();
        if (request->initial_bookmark && !writer.bookmark(from, true)) return;

        const MonotonicTime end = clock.now() + std::chrono::seconds(request->timeout_s);
        MonotonicTime next_bookmark = clock.now() + bookmark_period;
        store::Revision progress = from, bookmarked = from;
        while (clock.now() < end && !sink.stop().stop_requested()) {
            const MonotonicTime until = std::min({end, next_bookmark, clock.now() + Duration(client_check_period)});
            auto batch = events->next(until, sink.stop());
            if (!batch) return;  // too slow, or the store failed: the client resumes from what it has seen (API-58)
            for (const store::EventPtr& event : batch->events)
                if (!write_change(writer, *kind, request->selector, *event)) return;
            progress = batch->progress;
            if (clock.now() >= next_bookmark) {
                if (request->bookmarks && progress > bookmarked && !writer.bookmark(progress, false)) return;
                bookmarked = progress;
                next_bookmark = clock.now() + bookmark_period;
            }
            if (batch->events.empty() && sink.gone()) return;
        }
        if (request->bookmarks && progress > bookmarked) writer.bookmark(progress, false);
    };
    return reply;
}

}  // namespace weft::apiserver
