#include "apiserver/table.h"

#include "apiserver/table_builtin.h"
#include "base/json.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

json::Object column_definition(const Column& column) {
    return {{"name", column.name},
            {"type", column.type},
            {"format", column.format},
            {"description", column.description},
            {"priority", column.priority}};
}

json::Value custom_cell(const Column& column, const json::Value& object, WallTime now) {
    const std::vector<const json::Value*> found = json_path(object, column.json_path);
    if (found.empty() || found[0]->is_null()) return nullptr;
    const auto text = [](const json::Value& value) {
        return value.is_string() ? std::string(json::view(value.get_string())) : json::serialize(value);
    };
    if (column.type == "date")
        return json::Value(age(found[0]->is_string() ? json::view(found[0]->get_string()) : Text(), now));
    if (column.type == "string") {
        std::string joined;
        for (const json::Value* value : found) joined += (joined.empty() ? "" : ",") + text(*value);
        return json::Value(joined);
    }
    return *found[0];
}

std::string unit(int64_t number, char letter) { return std::to_string(number) + letter; }

}  // namespace

std::optional<IncludeObject> parse_include_object(Text text) {
    if (text.empty() || text == "Metadata") return IncludeObject::metadata;
    if (text == "None") return IncludeObject::none;
    if (text == "Object") return IncludeObject::object;
    return std::nullopt;
}

std::string duration_text(int64_t seconds) {
    if (seconds < -1) return "<invalid>";
    if (seconds < 0) return "0s";
    if (seconds < 120) return unit(seconds, 's');
    const int64_t minutes = seconds / 60;
    if (minutes < 10) return seconds % 60 == 0 ? unit(minutes, 'm') : unit(minutes, 'm') + unit(seconds % 60, 's');
    if (minutes < 180) return unit(minutes, 'm');
    const int64_t hours = seconds / 3600;
    if (hours < 8) return minutes % 60 == 0 ? unit(hours, 'h') : unit(hours, 'h') + unit(minutes % 60, 'm');
    if (hours < 48) return unit(hours, 'h');
    if (hours < 24 * 8) return hours % 24 == 0 ? unit(hours / 24, 'd') : unit(hours / 24, 'd') + unit(hours % 24, 'h');
    if (hours < 24 * 365 * 2) return unit(hours / 24, 'd');
    const int64_t years = hours / (24 * 365);
    const int64_t days = hours / 24 % 365;
    if (years < 8) return days == 0 ? unit(years, 'y') : unit(years, 'y') + unit(days, 'd');
    return unit(years, 'y');
}

std::string age(Text rfc3339_time, WallTime now) {
    WallTime then;
    if (rfc3339_time.empty() || !parse_rfc3339(std::string(rfc3339_time), then)) return "<unknown>";
    return duration_text(std::chrono::duration_cast<std::chrono::seconds>(now - then).count());
}

json::Value partial_metadata(const json::Value& object) {
    const json::Value* metadata = json::find(object, {"metadata"});
    return json::Object{{"kind", "PartialObjectMetadata"},
                        {"apiVersion", "meta.k8s.io/v1"},
                        {"metadata", metadata == nullptr ? json::Value(json::Object{}) : *metadata}};
}

json::Value to_table(const Kind& kind, std::span<const json::Value* const> objects, IncludeObject include, WallTime now,
                     bool with_columns) {
    const BuiltinTable* builtin = kind.custom ? nullptr : builtin_table(kind);
    std::vector<Column> columns;
    if (builtin != nullptr) {
        columns = builtin->columns;
    } else {
        columns.push_back({"Name", "string", "name", "Name of the object.", "", 0});
        columns.insert(columns.end(), kind.columns.begin(), kind.columns.end());
        if (!kind.custom) columns.push_back({"Created At", "date", "", "When it was made.", "", 0});
    }
    json::Array definitions;
    for (const Column& column : columns) definitions.push_back(column_definition(column));
    json::Array rows;
    for (const json::Value* object : objects) {
        json::Array cells;
        if (builtin != nullptr) {
            cells = builtin->cells(*object, now);
        } else {
            cells.push_back(json::Value(json::find_string(*object, {"metadata", "name"})));
            for (const Column& column : kind.columns) cells.push_back(custom_cell(column, *object, now));
            if (!kind.custom)
                cells.push_back(json::Value(json::find_string(*object, {"metadata", "creationTimestamp"})));
        }
        json::Object row{{"cells", std::move(cells)}};
        row["object"] = include == IncludeObject::none     ? json::Value(nullptr)
                        : include == IncludeObject::object ? *object
                                                           : partial_metadata(*object);
        rows.push_back(std::move(row));
    }
    json::Object table{{"kind", "Table"}, {"apiVersion", "meta.k8s.io/v1"}, {"metadata", json::Object{}}};
    table["columnDefinitions"] = with_columns ? json::Value(std::move(definitions)) : json::Value(json::Array{});
    table["rows"] = std::move(rows);
    return table;
}

}  // namespace weft::apiserver
