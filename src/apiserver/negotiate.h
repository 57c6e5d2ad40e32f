// Negotiate: what the client wants to read (Accept) and what it sent (Content-Type).
//
// Accept is a list of clauses with parameters and q; the first clause we can satisfy in order of q wins; protobuf and
// CBOR are passed over. `as=Table;g=meta.k8s.io;v=v1` asks for a table, with another version the clause is passed over.
// Errors: 406, 415 naming the types. Threads: pure. Source: spec/kubernetes.md API-20..22, API-111.
#pragma once
#include "apiserver/call.h"

namespace weft::apiserver {

enum class Shape : uint8_t { object, table, partial, partial_list, discovery };

struct Accepted {
    bool yaml = false;
    Shape shape = Shape::object;
    std::string version;  // of the table or partial: "v1" or "v1beta1"
    bool pretty = false;
};
// `offers`: which shapes beside `object` make sense here.
Outcome<Accepted> negotiate(const Call& call, std::initializer_list<Shape> offers);

// The body as one JSON value; `duplicates` collects member names given twice (JSON only).
Outcome<json::Value> decode_body(const Call& call, std::vector<std::string>* duplicates);

// Without parameters, lower case.
std::string media_type(std::string_view header);

// A reply with `value` as the client wants it.
Reply json_reply(int status, const json::Value& value, const Accepted& accepted = {});
Reply failure_reply(const Failure& failure, const Call& call);

}  // namespace weft::apiserver
