// Endpoints, the old form of EndpointSlices: what a user may write there (EPS-11).
#include <set>

#include "apiserver/schema.h"
#include "apiserver/validate_rules.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

const json::Array& array_of(const json::Value& value, Text field) {
    static const json::Array none;
    const json::Array* found = json::find_array(value, {field});
    return found == nullptr ? none : *found;
}

void validate_subset(const json::Value& subset, const std::string& where, FieldErrors& errors) {
    if (array_of(subset, "addresses").empty() && array_of(subset, "notReadyAddresses").empty())
        errors.push_back(required(where, "must specify `addresses` or `notReadyAddresses`"));
    for (const Text list : {Text("addresses"), Text("notReadyAddresses")}) {
        const json::Array& addresses = array_of(subset, list);
        for (size_t index = 0; index < addresses.size() && errors.size() < field_errors_max; index++) {
            const std::string field = field_path(field_path(where, list), index);
            if (const json::Value* ip = json::find(addresses[index], {"ip"}))
                validate_endpoint_address(*ip, field_path(field, "ip"), errors);
            if (const Text host = json::find_string(addresses[index], {"hostname"}); !host.empty())
                expect(label_error(host), field_path(field, "hostname"), host, errors);
            if (const Text node = json::find_string(addresses[index], {"nodeName"}); !node.empty())
                expect(subdomain_error(node), field_path(field, "nodeName"), node, errors);
        }
    }
    std::set<std::string> names;
    const json::Array& ports = array_of(subset, "ports");
    for (size_t index = 0; index < ports.size(); index++) {
        const std::string field = field_path(field_path(where, "ports"), index);
        const Text name = json::find_string(ports[index], {"name"});
        if (name.empty() && ports.size() > 1) errors.push_back(required(field_path(field, "name")));
        if (!name.empty()) expect(label_error(name), field_path(field, "name"), name, errors);
        if (!name.empty() && !names.emplace(name).second) errors.push_back(duplicate(field_path(field, "name"), name));
        const int64_t number = json::find_int(ports[index], {"port"});
        if (number < 1 || number > 65535)
            errors.push_back(invalid_value(field_path(field, "port"), number, port_range_text));
        if (const Text spoken = json::find_string(ports[index], {"appProtocol"}); !spoken.empty())
            expect(qualified_name_error(spoken), field_path(field, "appProtocol"), spoken, errors);
    }
}

}  // namespace

void validate_endpoints(const json::Value& object, Stored, FieldErrors& errors) {
    const json::Array& subsets = array_of(object, "subsets");
    for (size_t index = 0; index < subsets.size() && errors.size() < field_errors_max; index++)
        validate_subset(subsets[index], field_path("subsets", index), errors);
}

}  // namespace weft::apiserver
