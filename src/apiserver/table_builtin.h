// Columns and cells of the built-in kinds (spec/kubernetes.md §1.10). Inside the room only.
#pragma once
#include "apiserver/table.h"

namespace weft::apiserver {

struct BuiltinTable {
    std::vector<Column> columns;
    json::Array (*cells)(const json::Value& object, WallTime now);
};

// nullptr when the kind has none: it then shows Name and Created At.
const BuiltinTable* builtin_table(const Kind& kind);

// The cells, by family: table_network.cpp (Service, EndpointSlice, Ingress, IngressClass), table_workload.cpp (Pod,
// Deployment, ReplicaSet, StatefulSet, Node), the rest in table_builtin.cpp.
json::Array service_cells(const json::Value& object, WallTime now);
json::Array endpoint_slice_cells(const json::Value& object, WallTime now);
json::Array endpoints_cells(const json::Value& object, WallTime now);
json::Array ingress_cells(const json::Value& object, WallTime now);
json::Array ingress_class_cells(const json::Value& object, WallTime now);
json::Array pod_cells(const json::Value& object, WallTime now);
json::Array node_cells(const json::Value& object, WallTime now);
json::Array deployment_cells(const json::Value& object, WallTime now);
json::Array replica_set_cells(const json::Value& object, WallTime now);
json::Array stateful_set_cells(const json::Value& object, WallTime now);

// Shared by them.
json::Value name_cell(const json::Value& object);
json::Value age_cell(const json::Value& object, WallTime now);
std::string label_list(const json::Value* labels);       // "a=b,c=d", "<none>"
std::string selector_text(const json::Value* selector);  // of a LabelSelector, as kubectl writes it
std::string duration_text(int64_t seconds);
std::string or_none(std::string text, std::string_view otherwise = "<none>");

}  // namespace weft::apiserver
