#include <random>

#include "kube/client.h"
#include "kube/transfer.h"

namespace weft::kube {

namespace {

constexpr int page_items = 500;
constexpr int watch_timeout_s = 300;             // asked of the server; up to twice that
constexpr size_t event_bytes_max = 2 * json::json_bytes_max;

Code code_of(int status, std::string_view reason) {
    if (reason == "AlreadyExists") return Code::already_exists;
    if (reason == "Expired" || reason == "Gone") return Code::gone;
    switch (status) {
        case 400: case 405: case 406: case 413: case 415: case 422: return Code::invalid;
        case 401: case 403: return Code::denied;
        case 404: return Code::not_found;
        case 409: return Code::conflict;
        case 410: return Code::gone;
        case 504: return Code::timeout;
        default: return Code::unavailable;
    }
}

// A Status of the server as our error; a reply that is none keeps its first words.
std::unexpected<Error> status_error(int status, std::string_view body) {
    const Result<json::Value> parsed = json::parse(body);
    if (parsed && json::find_string(*parsed, {"kind"}) == "Status") {
        const std::string_view message = json::find_string(*parsed, {"message"});
        const int code = int(json::find_int(*parsed, {"code"}, status));
        return fail(code_of(code, json::find_string(*parsed, {"reason"})),
                    message.empty() ? fmt::format("the server answered {}", code) : std::string(message));
    }
    return fail(code_of(status, ""), fmt::format("the server answered {}: {}", status, body.substr(0, 200)));
}

// A list may be far larger than one object, so not json::parse with its limit.
Result<json::Value> parse_page(std::string_view body) {
    boost::json::parse_options options;
    options.max_depth = json::json_depth_max;
    boost::system::error_code error;
    json::Value value = boost::json::parse(boost::json::string_view(body.data(), body.size()), error, {}, options);
    if (error) return fail(Code::unavailable, "the server's answer is not JSON: " + error.message());
    return value;
}

// Our own server and Kubernetes' both know it; one that did not would answer with whole objects, which are cut here.
constexpr std::string_view partial_list_type =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
constexpr std::string_view partial_type =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

// An object of a list or a watch under its own kind's name.
Object named_as(const Resource& resource, Object object, bool metadata_only) {
    if (!metadata_only && !object.kind().empty()) return object;
    object.set({"apiVersion"}, resource.api_version());
    object.set({"kind"}, resource.kind);
    return metadata_only ? metadata_of(object) : object;
}

std::string query_of(const ListOptions& options) {
    std::string query;
    if (!options.label_selector.empty()) query += "&labelSelector=" + query_escape(options.label_selector);
    if (!options.field_selector.empty()) query += "&fieldSelector=" + query_escape(options.field_selector);
    return query;
}

// Cuts the stream of a watch into lines and lines into events.
class EventStream {
public:
    EventStream(const Resource& resource, bool metadata_only, const std::function<bool(WatchEvent&&)>& on_event)
        : resource_(resource), metadata_only_(metadata_only), on_event_(on_event) {}

    bool feed(std::string_view chunk) {
        while (!chunk.empty()) {
            const size_t end = chunk.find('\n');
            line_.append(chunk.substr(0, end));
            if (line_.size() > event_bytes_max) return stop(Error{Code::unavailable, "watch: an event is too large"});
            if (end == std::string_view::npos) return true;
            chunk.remove_prefix(end + 1);
            const bool more = line_.empty() || event(line_);
            line_.clear();
            if (!more) return false;
        }
        return true;
    }

    Status outcome() const { return outcome_; }

private:
    bool stop(Error error) {
        outcome_ = fail(std::move(error));
        return false;
    }

    bool event(const std::string& line) {
        Result<json::Value> parsed = parse_page(line);
        if (!parsed) return stop(parsed.error().in("watch"));
        const std::string_view type = json::find_string(*parsed, {"type"});
        json::Value* object = parsed->is_object() ? parsed->get_object().if_contains("object") : nullptr;
        if (object == nullptr || !object->is_object())
            return stop(Error{Code::unavailable, "watch: an event without an object"});
        if (type == "ERROR") {
            const int code = int(json::find_int(*object, {"code"}, 500));
            return stop(status_error(code, json::serialize(*object)).error());
        }
        WatchEvent event{WatchEvent::Type::added, Object(std::move(*object))};
        if (type == "MODIFIED")
            event.type = WatchEvent::Type::modified;
        else if (type == "DELETED")
            event.type = WatchEvent::Type::deleted;
        else if (type == "BOOKMARK")
            event.type = WatchEvent::Type::bookmark;
        else if (type != "ADDED")
            return stop(Error{Code::unavailable, fmt::format("watch: unknown event type \"{}\"", type)});
        if (event.type != WatchEvent::Type::bookmark && event.object.name().empty())
            return stop(Error{Code::unavailable, fmt::format("watch: a {} without a name", resource_.kind)});
        if (event.type != WatchEvent::Type::bookmark)
            event.object = named_as(resource_, std::move(event.object), metadata_only_);
        return on_event_(std::move(event));
    }

    const Resource& resource_;
    const bool metadata_only_;
    const std::function<bool(WatchEvent&&)>& on_event_;
    std::string line_;
    Status outcome_;
};

class HttpClient : public Client {
public:
    explicit HttpClient(Endpoint endpoint) : pool_(std::move(endpoint)) {}

    Result<Object> get(const Resource& resource, const ObjectKey& key) override {
        TRY(check_key(resource, key));
        return object_of(pool_.run({.target = resource.path(key.ns, key.name)}));
    }

    Result<ObjectList> list(const Resource& resource, const ListOptions& options) override;

    Result<Object> create(const Resource& resource, const Object& object) override {
        if (resource.namespaced && object.ns().empty())
            return fail(Code::invalid, "metadata.namespace: Required value");
        return send("POST", resource.path(object.ns()), "application/json", object.body());
    }

    Result<Object> update(const Resource& resource, const Object& object) override {
        TRY(check_key(resource, object.key()));
        return send("PUT", resource.path(object.ns(), object.name()), "application/json", object.body());
    }

    Result<Object> update_status(const Resource& resource, const Object& object) override {
        TRY(check_key(resource, object.key()));
        return send("PUT", resource.path(object.ns(), object.name()) + "/status", "application/json", object.body());
    }

    Result<Object> patch(const Resource& resource, const ObjectKey& key, PatchType type, const json::Value& patch,
                         std::string_view subresource) override {
        static constexpr std::string_view types[] = {"application/json-patch+json", "application/merge-patch+json",
                                                     "application/strategic-merge-patch+json",
                                                     "application/apply-patch+yaml"};
        TRY(check_key(resource, key));
        std::string target = resource.path(key.ns, key.name);
        if (!subresource.empty()) target += "/" + std::string(subresource);
        if (type == PatchType::apply) target += "?fieldManager=weft&force=true";
        return send("PATCH", std::move(target), types[size_t(type)], patch);
    }

    Status remove(const Resource& resource, const ObjectKey& key, const DeleteOptions& options) override;

    Status watch(const Resource& resource, const ListOptions& options, std::string_view resource_version,
                 std::stop_token stop, const std::function<bool(WatchEvent&&)>& on_event) override;

private:
    // An empty name would make a request for one object a request for all of them.
    static Status check_key(const Resource& resource, const ObjectKey& key) {
        if (key.name.empty())
            return fail(Code::invalid, fmt::format("{}: metadata.name: Required value", resource.plural));
        if (resource.namespaced && key.ns.empty())
            return fail(Code::invalid,
                        fmt::format("{} {}: metadata.namespace: Required value", resource.plural, key.name));
        if ((key.name + key.ns).find_first_of("/?#%") != std::string::npos || key.name == "." || key.name == "..")
            return fail(Code::invalid, fmt::format("{} {}: not a name", resource.plural, key.text()));
        return {};
    }

    static Result<Object> object_of(Result<RawReply> reply) {
        const RawReply answer = TRY(std::move(reply));
        if (answer.status < 200 || answer.status > 299) return status_error(answer.status, answer.body);
        json::Value value = TRY(parse_page(answer.body));
        if (!value.is_object()) return fail(Code::unavailable, "the server's answer is not an object");
        return Object(std::move(value));
    }

    Result<Object> send(std::string_view method, std::string target, std::string_view type, const json::Value& body) {
        const std::string text = json::serialize(body);
        return object_of(
            pool_.run({.method = method, .target = std::move(target), .body = text, .content_type = type}));
    }

    ConnectionPool pool_;
};

Result<ObjectList> HttpClient::list(const Resource& resource, const ListOptions& options) {
    const std::string base = resource.path(options.ns) + "?limit=" + std::to_string(page_items) + query_of(options);
    ObjectList list;
    std::string page_token;
    do {
        std::string target = base;
        if (!page_token.empty()) target += "&continue=" + query_escape(page_token);
        Object page = TRY(object_of(pool_.run(
            {.target = std::move(target), .accept = options.metadata_only ? partial_list_type : "application/json"})));
        json::Value* items = page.body().get_object().if_contains("items");
        if (items == nullptr || (!items->is_array() && !items->is_null()))
            return fail(Code::unavailable, fmt::format("list {}: the server's answer has no items", resource.plural));
        if (items->is_array()) {
            for (json::Value& item : items->get_array()) {
                // Items of a list do not repeat what the list says once.
                Object object(std::move(item));
                if (!object.body().is_object()) return fail(Code::unavailable, "list: an item is not an object");
                list.items.push_back(named_as(resource, std::move(object), options.metadata_only));
            }
        }
        list.resource_version = page.resource_version();
        page_token = page.string({"metadata", "continue"});
    } while (!page_token.empty());
    return list;
}

Status HttpClient::remove(const Resource& resource, const ObjectKey& key, const DeleteOptions& options) {
    TRY(check_key(resource, key));
    json::Object body{{"kind", "DeleteOptions"}, {"apiVersion", "v1"}};
    if (!options.uid.empty()) body["preconditions"] = json::Object{{"uid", options.uid}};
    if (!options.propagation_policy.empty()) body["propagationPolicy"] = options.propagation_policy;
    if (options.grace_period_s >= 0) body["gracePeriodSeconds"] = options.grace_period_s;
    TRY(send("DELETE", resource.path(key.ns, key.name), "application/json", body));
    return {};
}

Status HttpClient::watch(const Resource& resource, const ListOptions& options, std::string_view resource_version,
                         std::stop_token stop, const std::function<bool(WatchEvent&&)>& on_event) {
    // Spread, so that a thousand watches opened together do not end together.
    static thread_local std::minstd_rand spread{std::random_device{}()};
    const int timeout_s = watch_timeout_s + int(spread() % watch_timeout_s);
    EventStream events(resource, options.metadata_only, on_event);
    Exchange exchange;
    exchange.target =
        fmt::format("{}?watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}{}",
                    resource.path(options.ns), query_escape(resource_version), timeout_s, query_of(options));
    if (options.metadata_only) exchange.accept = partial_type;
    exchange.deadline_s = timeout_s + request_timeout_s;
    exchange.stop = stop;
    exchange.on_data = [&](std::string_view chunk) { return !stop.stop_requested() && events.feed(chunk); };
    const RawReply reply = TRY(pool_.run(exchange));
    if (stop.stop_requested()) return {};
    if (reply.status < 200 || reply.status > 299) return status_error(reply.status, reply.body);
    return events.outcome();
}

}  // namespace

std::unique_ptr<Client> connect(Endpoint endpoint) { return std::make_unique<HttpClient>(std::move(endpoint)); }

Result<RawReply> raw_request(const Endpoint& endpoint, std::string_view method, std::string_view path_and_query,
                             std::string_view body, std::string_view content_type, std::string_view accept,
                             std::stop_token stop, const std::function<bool(std::string_view)>& on_data) {
    ConnectionPool pool(endpoint);
    return pool.run({.method = method,
                     .target = std::string(path_and_query),
                     .body = body,
                     .content_type = content_type,
                     .accept = accept,
                     .deadline_s = on_data ? 0 : request_timeout_s,
                     .stop = stop,
                     .on_data = on_data});
}

}  // namespace weft::kube
