// Json: the one JSON value type (Boost.JSON: mutable, insertion-ordered, exact for 64-bit integers), and the few
// accessors that read objects without exceptions. A path is a list of member names; a missing step gives the "empty" answer.
//
// Errors: parse() says where. Limits: json_depth_max, json_bytes_max. Threads: values only.
#pragma once
#include <boost/json.hpp>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weft::json {

using Value = boost::json::value;
using Object = boost::json::object;
using Array = boost::json::array;
using String = boost::json::string;
using Path = std::initializer_list<std::string_view>;

inline constexpr size_t json_depth_max = 64;
inline constexpr size_t yaml_values_max = 1'000'000;        // of one text, aliases expanded
inline constexpr size_t json_bytes_max = 3 * 1024 * 1024;  // spec/kubernetes.md API-5

// Strict JSON; duplicate member names: the last wins, unless `duplicates` is given, which then lists their paths.
Result<Value> parse(std::string_view text, std::vector<std::string>* duplicates = nullptr);
std::string serialize(const Value& value);  // compact, no trailing newline
std::string serialize_pretty(const Value& value);  // two spaces, as kubectl prints it

// A YAML stream (JSON is YAML too): one Value per document, empty documents left out.
Result<std::vector<Value>> parse_yaml(std::string_view text);
std::string to_yaml(const Value& value);

const Value* find(const Value& root, Path path);           // nullptr when absent
const Object* find_object(const Value& root, Path path);   // nullptr when absent or of another type
const Array* find_array(const Value& root, Path path);     // same
std::string_view find_string(const Value& root, Path path, std::string_view otherwise = {});
int64_t find_int(const Value& root, Path path, int64_t otherwise = 0);
bool find_bool(const Value& root, Path path, bool otherwise = false);
std::vector<std::string> find_strings(const Value& root, Path path);  // strings of an array; others skipped
bool has(const Value& root, Path path);

// Sets a member, making the objects on the way. A non-object on the way is replaced by an object.
void set(Value& root, Path path, Value value);
void erase(Value& root, Path path);  // keeps the order of the others; absent is fine

inline std::string_view view(const String& s) { return {s.data(), s.size()}; }

}  // namespace weft::json
