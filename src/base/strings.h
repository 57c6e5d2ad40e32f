// Small text tools that the standard library of g++ 12 lacks. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

std::vector<std::string_view> split(std::string_view text, char separator);  // "a,,b" → "a", "", "b"; "" → one empty
std::vector<std::string> split_list(std::string_view text);                  // comma list, trimmed, empty parts dropped
std::string_view trim(std::string_view text);                                // spaces, tabs, CR, LF
std::string to_lower(std::string_view text);                                 // ASCII
bool equals_ignoring_case(std::string_view a, std::string_view b);           // ASCII
std::optional<uint64_t> parse_unsigned(std::string_view text);               // decimal digits only, no sign, fits 64 bits

// Kubernetes name rules (spec/kubernetes.md §0).
bool is_dns1123_label(std::string_view text);
bool is_dns1123_subdomain(std::string_view text);

std::string base64_encode(std::string_view bytes);
std::optional<std::string> base64_decode(std::string_view text);  // standard alphabet, padding required

}  // namespace weft
