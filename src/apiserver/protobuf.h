// Protobuf: the bodies that Go's typed clients send (`kubectl create NOUN`, helm's release records) as JSON values. The
// envelope is "k8s\0" and a runtime.Unknown {typeMeta, raw}; the message inside is read by the table of
// protobuf_fields.cpp. Only bodies: answers are JSON, which the same clients accept.
//
// Errors: 415 for a kind or a field that the table does not have (never a silent loss), 400 for bytes that are no
// protobuf. Threads: any. Source: spec/kubernetes.md API-20; docs/adr/0008.
#pragma once
#include <string_view>

#include "apiserver/failure.h"

namespace weft::apiserver {

inline constexpr std::string_view protobuf_type = "application/vnd.kubernetes.protobuf";

// The object with its apiVersion and kind.
Outcome<json::Value> decode_protobuf(std::string_view body);

std::string_view protobuf_fields();  // the table's text

}  // namespace weft::apiserver
