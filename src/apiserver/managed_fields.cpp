#include "apiserver/managed_fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/schema.h"
#include "base/strings.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

constexpr Text ancient = "ancient-changes";

// What belongs to the server or says which object it is has no manager.
void keep_tracked(FieldSet& fields, const Kind& kind, Part part) {
    fields.below.erase("f:apiVersion");
    fields.below.erase("f:kind");
    if (part == Part::status) {
        std::erase_if(fields.below,
                      [](const auto& one) { return one.first != "f:status" && one.first != "f:metadata"; });
    } else if (kind.has_status) {
        fields.below.erase("f:status");
    }
    const auto metadata = fields.below.find("f:metadata");
    if (metadata == fields.below.end()) return;
    metadata->second.is_member = false;
    for (const Text name : {Text("f:name"), Text("f:namespace"), Text("f:uid"), Text("f:creationTimestamp"),
                            Text("f:deletionTimestamp"), Text("f:deletionGracePeriodSeconds"), Text("f:generation"),
                            Text("f:managedFields"), Text("f:resourceVersion"), Text("f:selfLink")}) {
        if (const auto found = metadata->second.below.find(name); found != metadata->second.below.end())
            metadata->second.below.erase(found);
    }
    if (metadata->second.empty()) fields.below.erase(metadata);
}

Managers managers_of(const json::Value* object) {
    const json::Value* entries = object == nullptr ? nullptr : json::find(*object, {"metadata", "managedFields"});
    return entries == nullptr ? Managers{} : parse_managers(*entries).value_or(Managers{});
}

bool is_empty(const Manager& manager) {
    return manager.fields.empty();
}

// Applying again with another version stays the same applier; an updater is another one per version.
Manager& manager_for(Managers& managers, const Kind& kind, const Writer& writer, Text operation) {
    for (Manager& one : managers) {
        if (one.name == writer.manager && one.operation == operation && one.subresource == writer.subresource &&
            (operation == "Apply" || one.api_version == kind.api_version()))
            return one;
    }
    managers.push_back(
        {writer.manager, std::string(operation), kind.api_version(), writer.subresource, writer.time, {}});
    return managers.back();
}

void cap_updates(Managers& managers) {
    const auto is_update = [](const Manager& one) { return one.operation == "Update" && one.name != ancient; };
    size_t count = size_t(std::count_if(managers.begin(), managers.end(), is_update));
    while (count > update_entries_max) {
        auto oldest = managers.end();
        for (auto at = managers.begin(); at != managers.end(); ++at)
            if (is_update(*at) && (oldest == managers.end() || at->time < oldest->time)) oldest = at;
        Manager moved = std::move(*oldest);
        managers.erase(oldest);
        count--;
        const auto found = std::find_if(managers.begin(), managers.end(), [&](const Manager& one) {
            return one.name == ancient && one.api_version == moved.api_version && one.subresource == moved.subresource;
        });
        if (found != managers.end()) {
            found->fields.add(moved.fields);
            found->time = std::max(found->time, moved.time);
        } else {
            moved.name = ancient;
            managers.push_back(std::move(moved));
        }
    }
}

std::string shown(const Manager& manager) {
    if (manager.subresource.empty()) return fmt::format("\"{}\" using {}", manager.name, manager.api_version);
    return fmt::format("\"{}\" with subresource \"{}\" using {}", manager.name, manager.subresource,
                       manager.api_version);
}

std::optional<Refusal> conflicts_of(const Managers& managers, const Manager& applier, const FieldSet& changed) {
    std::map<std::string, std::vector<std::string>> by_manager;
    for (const Manager& other : managers) {
        if (&other == &applier) continue;
        for (std::string& path : other.fields.intersection(changed).paths())
            by_manager[shown(other)].push_back(std::move(path));
    }
    if (by_manager.empty()) return std::nullopt;
    Refusal refusal{409, "Conflict", "", {}};
    std::string text;
    for (const auto& [manager, paths] : by_manager) {
        text += fmt::format("{}conflicts with {}:", text.empty() ? "" : "\n", manager);
        for (const std::string& path : paths) {
            text += "\n- " + path;
            refusal.causes.push_back({"FieldManagerConflict", path, "conflict with " + manager});
        }
    }
    if (refusal.causes.size() == 1) {
        refusal.message =
            fmt::format("Apply failed with 1 conflict: {}: {}", refusal.causes[0].message, refusal.causes[0].field);
    } else {
        refusal.message = fmt::format("Apply failed with {} conflicts: {}", refusal.causes.size(), text);
    }
    return refusal;
}

}  // namespace

std::optional<Managers> parse_managers(const json::Value& entries) {
    const json::Array* array = entries.if_array();
    if (array == nullptr) return std::nullopt;
    Managers managers;
    if (array->size() == 1 && array->front().is_object() && array->front().get_object().empty()) return managers;
    for (const json::Value& entry : *array) {
        Manager one{std::string(json::find_string(entry, {"manager"})),
                    std::string(json::find_string(entry, {"operation"})),
                    std::string(json::find_string(entry, {"apiVersion"})),
                    std::string(json::find_string(entry, {"subresource"})),
                    std::string(json::find_string(entry, {"time"})),
                    {}};
        if ((one.operation != "Apply" && one.operation != "Update") || one.name.size() > manager_bytes_max ||
            json::find_string(entry, {"fieldsType"}) != "FieldsV1")
            return std::nullopt;
        const json::Value* fields = json::find(entry, {"fieldsV1"});
        auto parsed = fields == nullptr ? FieldSet{} : parse_fields(*fields);
        if (!parsed) return std::nullopt;
        one.fields = std::move(*parsed);
        managers.push_back(std::move(one));
    }
    return managers;
}

json::Value to_json(Managers managers) {
    std::erase_if(managers, is_empty);
    const auto rank = [](const Manager& one) {
        return std::tie(one.operation, one.time, one.name, one.subresource, one.api_version);
    };
    std::sort(managers.begin(), managers.end(), [&](const Manager& a, const Manager& b) { return rank(a) < rank(b); });
    json::Array entries;
    for (const Manager& one : managers) {
        json::Object entry{{"manager", one.name}, {"operation", one.operation}, {"apiVersion", one.api_version},
                           {"time", one.time},    {"fieldsType", "FieldsV1"},   {"fieldsV1", to_json(one.fields)}};
        if (one.time.empty()) entry.erase("time");
        if (!one.subresource.empty()) entry["subresource"] = one.subresource;
        entries.push_back(std::move(entry));
    }
    return entries;
}

json::Value managers_after_update(const Kind& kind, const Writer& writer, const json::Value* stored,
                                  const json::Value& wish, const json::Value* given, Part part) {
    Managers managers = managers_of(stored);
    if (given != nullptr && part == Part::main)
        if (auto sent = parse_managers(*given)) managers = std::move(*sent);
    Difference diff = difference(kind.schema.get(), stored == nullptr ? json::Value(json::Object{}) : *stored, wish);
    for (FieldSet* fields : {&diff.changed, &diff.removed}) keep_tracked(*fields, kind, part);
    if (!diff.changed.empty()) manager_for(managers, kind, writer, "Update");
    for (Manager& one : managers) {
        const bool is_writer = one.name == writer.manager && one.operation == "Update" &&
                               one.subresource == writer.subresource && one.api_version == kind.api_version();
        const FieldSet before = one.fields;
        one.fields.subtract(diff.removed);
        if (is_writer)
            one.fields.add(diff.changed);
        else
            one.fields.subtract(diff.changed);
        if (is_writer && one.fields != before) one.time = writer.time;
    }
    std::erase_if(managers, is_empty);
    cap_updates(managers);
    return to_json(std::move(managers));
}

std::expected<Applied, Refusal> apply_object(const Kind& kind, const Writer& writer, const json::Value* stored,
                                             const json::Value& config, bool force, Part part) {
    const Schema* schema = kind.schema.get();
    const json::Value live = stored == nullptr ? json::Value(json::Object{}) : *stored;
    Managers managers = managers_of(stored);
    // Nobody knows who set what is there already, so it is not to be changed without force.
    if (stored != nullptr && managers.empty()) {
        Manager unknown{"before-first-apply", "Update", kind.api_version(), "", writer.time, fields_of(schema, live)};
        keep_tracked(unknown.fields, kind, Part::main);
        managers.push_back(std::move(unknown));
    }
    Applied applied{.object = TRY(merge_applied(schema, live, config)), .managed_fields = {}};
    FieldSet claims = fields_of(schema, config);
    keep_tracked(claims, kind, part);
    Manager& applier = manager_for(managers, kind, writer, "Apply");
    const FieldSet last = std::exchange(applier.fields, claims);
    applier.api_version = kind.api_version();
    FieldSet owned;
    for (const Manager& one : managers) owned.add(one.fields);
    owned.below["f:metadata"];  // it has a name even when nobody claims anything in it
    remove_unowned(schema, applied.object, last, owned);
    Difference diff = difference(schema, live, applied.object);
    for (FieldSet* fields : {&diff.changed, &diff.removed}) keep_tracked(*fields, kind, part);
    if (!force)
        if (auto refusal = conflicts_of(managers, applier, diff.changed)) return std::unexpected(std::move(*refusal));
    for (Manager& one : managers) {
        if (&one == &applier) continue;
        one.fields.subtract(diff.changed);
        one.fields.subtract(diff.removed);
    }
    if (last != claims || !diff.changed.empty() || !diff.removed.empty()) applier.time = writer.time;
    cap_updates(managers);
    applied.managed_fields = to_json(std::move(managers));
    return applied;
}

std::string manager_of_agent(std::string_view user_agent) {
    std::string name;
    for (const char c : user_agent.substr(0, user_agent.find('/')))
        if (c >= ' ' && c <= '~' && name.size() < manager_bytes_max) name += c;
    return name.empty() ? "unknown" : name;
}

}  // namespace weft::apiserver
