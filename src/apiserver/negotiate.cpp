#include "apiserver/negotiate.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "apiserver/protobuf.h"
#include "base/strings.h"

namespace weft::apiserver {

static constexpr std::string_view readable_types = "application/json, application/yaml";

namespace {

struct Clause {
    std::string type;
    std::string as, group, version, profile;
    double quality = 1;
};

Clause parse_clause(std::string_view text) {
    Clause clause;
    bool first = true;
    for (const std::string_view part : split(text, ';')) {
        const std::string_view piece = trim(part);
        if (std::exchange(first, false)) {
            clause.type = to_lower(piece);
            continue;
        }
        const size_t equals = piece.find('=');
        if (equals == std::string_view::npos) continue;
        const std::string name = to_lower(trim(piece.substr(0, equals)));
        std::string_view value = trim(piece.substr(equals + 1));
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
        if (name == "as") clause.as = value;
        if (name == "g") clause.group = value;
        if (name == "v") clause.version = value;
        if (name == "profile") clause.profile = value;
        if (name == "q" &&
            (std::from_chars(value.data(), value.data() + value.size(), clause.quality).ec != std::errc() ||
             !std::isfinite(clause.quality)))
            clause.quality = 0;
    }
    return clause;
}

bool is_offered(std::initializer_list<Shape> offers, Shape shape) {
    return std::find(offers.begin(), offers.end(), shape) != offers.end();
}

// What the clause would give here; nullopt: passed over.
std::optional<Accepted> satisfy(const Clause& clause, std::initializer_list<Shape> offers) {
    Accepted accepted;
    accepted.yaml = clause.type == "application/yaml";
    const bool readable =
        accepted.yaml || clause.type == "application/json" || clause.type == "application/*" || clause.type == "*/*";
    if (!readable || clause.quality <= 0) return std::nullopt;
    if (clause.as.empty()) return accepted;
    if (clause.as == "APIGroupDiscoveryList") {
        accepted.shape = Shape::discovery;
        accepted.version = clause.version;
        const bool right = clause.group == "apidiscovery.k8s.io" && clause.version == "v2";
        return right && is_offered(offers, accepted.shape) ? std::optional(accepted) : std::nullopt;
    }
    if (clause.group != "meta.k8s.io" || (clause.version != "v1" && clause.version != "v1beta1")) return std::nullopt;
    accepted.version = clause.version;
    if (clause.as == "Table")
        accepted.shape = Shape::table;
    else if (clause.as == "PartialObjectMetadata")
        accepted.shape = Shape::partial;
    else if (clause.as == "PartialObjectMetadataList")
        accepted.shape = Shape::partial_list;
    else
        return std::nullopt;
    return is_offered(offers, accepted.shape) ? std::optional(accepted) : std::nullopt;
}

}  // namespace

std::string media_type(std::string_view header) {
    return to_lower(trim(header.substr(0, header.find(';'))));
}

static bool wants_pretty(const Call& call) {
    const auto pretty = call.query.find("pretty");
    if (pretty) return *pretty != "false" && *pretty != "0";
    for (const std::string_view agent : {"curl", "Wget", "Mozilla/5.0"})
        if (std::string_view(call.user_agent).starts_with(agent)) return true;
    return false;
}

Outcome<Accepted> negotiate(const Call& call, std::initializer_list<Shape> offers) {
    std::vector<Clause> clauses;
    const auto better = [](const Clause& a, const Clause& b) { return a.quality > b.quality; };
    for (const std::string_view text : split(call.accept, ',')) {
        if (trim(text).empty()) continue;
        Clause clause = parse_clause(text);
        const auto place = std::upper_bound(clauses.begin(), clauses.end(), clause, better);
        clauses.insert(place, std::move(clause));
    }
    if (clauses.empty()) clauses.push_back({.type = "*/*"});
    for (const Clause& clause : clauses) {
        auto accepted = satisfy(clause, offers);
        if (!accepted) continue;
        accepted->pretty = wants_pretty(call);
        return *accepted;
    }
    return refuse(406, "NotAcceptable", fmt::format("only the following media types are accepted: {}", readable_types));
}

Outcome<json::Value> decode_body(const Call& call, std::vector<std::string>* duplicates) {
    const std::string type = media_type(call.content_type);
    if (type.empty() || type == "application/json") {
        auto value = json::parse(call.body, duplicates);
        if (!value && value.error().code == Code::exhausted)
            return refuse(413, "RequestEntityTooLarge",
                          fmt::format("Request entity too large: limit is {}", json::json_bytes_max));
        if (!value) return refuse(400, "BadRequest", "couldn't get version/kind; " + value.error().message);
        return std::move(*value);
    }
    if (type == "application/yaml" || type == "application/x-yaml") {
        auto documents = json::parse_yaml(call.body);
        if (!documents) return refuse(400, "BadRequest", "error converting YAML to JSON: " + documents.error().message);
        if (documents->size() != 1)
            return refuse(400, "BadRequest",
                          fmt::format("the body must hold one YAML document, not {}", documents->size()));
        return std::move(documents->front());
    }
    if (type == protobuf_type) return decode_protobuf(call.body);
    return refuse(415, "UnsupportedMediaType",
                  fmt::format("the body of the request was in an unknown format - accepted media types include: {}, {}",
                              readable_types, protobuf_type));
}

Reply json_reply(int status, const json::Value& value, const Accepted& accepted) {
    Reply reply{.status = status};
    if (accepted.yaml) {
        reply.content_type = "application/yaml";
        reply.body = json::to_yaml(value);
    } else if (accepted.pretty) {
        reply.body = json::serialize_pretty(value);
    } else {
        reply.body = json::serialize(value);
        reply.body += '\n';
    }
    return reply;
}

Reply failure_reply(const Failure& failure, const Call& call) {
    auto accepted = negotiate(call, {});
    Reply reply = json_reply(failure.code(), status_object(failure), accepted ? *accepted : Accepted{});
    if (failure.retry_after_s > 0) reply.headers.emplace_back("Retry-After", std::to_string(failure.retry_after_s));
    return reply;
}

}  // namespace weft::apiserver
