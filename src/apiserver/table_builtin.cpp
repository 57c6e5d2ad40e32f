#include "apiserver/table_builtin.h"

#include <algorithm>

namespace weft::apiserver {

namespace {

using Text = std::string_view;

const Column name_column{"Name", "string", "name", "Name of the object.", "", 0};
const Column age_column{"Age", "string", "", "Time since creation.", "", 0};

Column text(std::string name, int priority = 0) { return {std::move(name), "string", "", "", "", priority}; }
Column number(std::string name, int priority = 0) { return {std::move(name), "integer", "", "", "", priority}; }

json::Array namespace_cells(const json::Value& object, WallTime now) {
    return {name_cell(object), json::Value(json::find_string(object, {"status", "phase"})), age_cell(object, now)};
}

int64_t size_at(const json::Value& object, Text field) {
    const json::Object* data = json::find_object(object, {field});
    return data == nullptr ? 0 : int64_t(data->size());
}

json::Array config_map_cells(const json::Value& object, WallTime now) {
    return {name_cell(object), size_at(object, "data") + size_at(object, "binaryData"), age_cell(object, now)};
}

json::Array secret_cells(const json::Value& object, WallTime now) {
    return {name_cell(object), json::Value(json::find_string(object, {"type"})), size_at(object, "data"),
            age_cell(object, now)};
}

json::Array plain_cells(const json::Value& object, WallTime now) { return {name_cell(object), age_cell(object, now)}; }

json::Array lease_cells(const json::Value& object, WallTime now) {
    return {name_cell(object), json::Value(json::find_string(object, {"spec", "holderIdentity"})),
            age_cell(object, now)};
}

json::Array crd_cells(const json::Value& object, WallTime) {
    return {name_cell(object), json::Value(json::find_string(object, {"metadata", "creationTimestamp"}))};
}

std::string event_age(const json::Value& object, Text field, WallTime now) {
    Text time = json::find_string(object, {field});
    if (time.empty()) time = json::find_string(object, {"eventTime"});
    if (field == "lastTimestamp") {
        const Text series = json::find_string(object, {"series", "lastObservedTime"});
        if (!series.empty()) time = series;
    }
    return age(time, now);
}

json::Array event_cells(const json::Value& object, WallTime now) {
    const json::Value* regarding = json::find(object, {"involvedObject"});
    std::string target;
    if (regarding != nullptr) {
        target = json::find_string(*regarding, {"kind"});
        std::transform(target.begin(), target.end(), target.begin(),
                       [](unsigned char c) { return char(std::tolower(c)); });
        target += "/" + std::string(json::find_string(*regarding, {"name"}));
    }
    std::string source(json::find_string(object, {"source", "component"}));
    if (source.empty()) source = json::find_string(object, {"reportingComponent"});
    if (const Text host = json::find_string(object, {"source", "host"}); !host.empty())
        source += ", " + std::string(host);
    int64_t count = json::find_int(object, {"series", "count"}, json::find_int(object, {"count"}, 1));
    count = std::max<int64_t>(count, 1);
    return {json::Value(event_age(object, "lastTimestamp", now)),
            json::Value(json::find_string(object, {"type"})),
            json::Value(json::find_string(object, {"reason"})),
            json::Value(target),
            json::Value(json::find_string(object, {"involvedObject", "fieldPath"})),
            json::Value(source),
            json::Value(json::find_string(object, {"message"})),
            json::Value(event_age(object, "firstTimestamp", now)),
            count,
            name_cell(object)};
}

const std::map<Text, BuiltinTable>& tables() {
    static const std::map<Text, BuiltinTable> all = {
        {"Service",
         {{name_column, text("Type"), text("Cluster-IP"), text("External-IP"), text("Port(s)"), age_column,
           text("Selector", 1)},
          service_cells}},
        {"EndpointSlice.discovery.k8s.io",
         {{name_column, text("AddressType"), text("Ports"), text("Endpoints"), age_column}, endpoint_slice_cells}},
        {"Endpoints", {{name_column, text("Endpoints"), age_column}, endpoints_cells}},
        {"Ingress.networking.k8s.io",
         {{name_column, text("Class"), text("Hosts"), text("Address"), text("Ports"), age_column}, ingress_cells}},
        {"IngressClass.networking.k8s.io",
         {{name_column, text("Controller"), text("Parameters"), age_column}, ingress_class_cells}},
        {"Pod",
         {{name_column, text("Ready"), text("Status"), text("Restarts"), age_column, text("IP", 1), text("Node", 1),
           text("Nominated Node", 1), text("Readiness Gates", 1)},
          pod_cells}},
        {"Node",
         {{name_column, text("Status"), text("Roles"), age_column, text("Version"), text("Internal-IP", 1),
           text("External-IP", 1), text("OS-Image", 1), text("Kernel-Version", 1), text("Container-Runtime", 1)},
          node_cells}},
        {"Namespace", {{name_column, text("Status"), age_column}, namespace_cells}},
        {"Deployment.apps",
         {{name_column, text("Ready"), number("Up-to-date"), number("Available"), age_column, text("Containers", 1),
           text("Images", 1), text("Selector", 1)},
          deployment_cells}},
        {"ReplicaSet.apps",
         {{name_column, number("Desired"), number("Current"), number("Ready"), age_column, text("Containers", 1),
           text("Images", 1), text("Selector", 1)},
          replica_set_cells}},
        {"StatefulSet.apps",
         {{name_column, text("Ready"), age_column, text("Containers", 1), text("Images", 1)}, stateful_set_cells}},
        {"ConfigMap", {{name_column, number("Data"), age_column}, config_map_cells}},
        {"Secret", {{name_column, text("Type"), number("Data"), age_column}, secret_cells}},
        {"ServiceAccount", {{name_column, age_column}, plain_cells}},
        {"Lease.coordination.k8s.io", {{name_column, text("Holder"), age_column}, lease_cells}},
        {"CustomResourceDefinition.apiextensions.k8s.io", {{name_column, text("Created At")}, crd_cells}},
        {"Event",
         {{text("Last Seen"),
           text("Type"),
           text("Reason"),
           text("Object"),
           text("Subobject", 1),
           text("Source", 1),
           text("Message"),
           text("First Seen", 1),
           number("Count", 1),
           {"Name", "string", "name", "", "", 1}},
          event_cells}},
    };
    return all;
}

}  // namespace

const BuiltinTable* builtin_table(const Kind& kind) {
    const auto found = tables().find(kind.group_kind());
    return found == tables().end() ? nullptr : &found->second;
}

json::Value name_cell(const json::Value& object) {
    return json::Value(json::find_string(object, {"metadata", "name"}));
}

json::Value age_cell(const json::Value& object, WallTime now) {
    return json::Value(age(json::find_string(object, {"metadata", "creationTimestamp"}), now));
}

std::string or_none(std::string text, Text otherwise) { return text.empty() ? std::string(otherwise) : text; }

std::string label_list(const json::Value* labels) {
    std::map<std::string, std::string> sorted;
    if (labels != nullptr && labels->is_object()) {
        for (const auto& [name, value] : labels->get_object()) {
            sorted[std::string(name)] = value.is_string() ? std::string(json::view(value.get_string())) : "";
        }
    }
    std::string out;
    for (const auto& [name, value] : sorted) out += (out.empty() ? "" : ",") + name + "=" + value;
    return or_none(std::move(out));
}

std::string selector_text(const json::Value* selector) {
    if (selector == nullptr) return "<none>";
    std::string out;
    if (json::has(*selector, {"matchLabels"})) out = label_list(json::find(*selector, {"matchLabels"}));
    if (out == "<none>") out.clear();
    const json::Array* expressions = json::find_array(*selector, {"matchExpressions"});
    for (size_t index = 0; expressions != nullptr && index < expressions->size(); index++) {
        const json::Value& expression = (*expressions)[index];
        const std::string key(json::find_string(expression, {"key"}));
        const Text operation = json::find_string(expression, {"operator"});
        std::string values;
        for (const std::string& value : json::find_strings(expression, {"values"}))
            values += (values.empty() ? "" : ",") + value;
        if (!out.empty()) out += ",";
        out += operation == "Exists" ? key
               : operation == "DoesNotExist"
                   ? "!" + key
                   : fmt::format("{} {} ({})", key, operation == "In" ? "in" : "notin", values);
    }
    return or_none(std::move(out));
}

}  // namespace weft::apiserver
