// Selectors of lists and watches, as they stand in the query string.
//
//   labelSelector:  k=v  k==v  k!=v  k in (a,b)  k notin (a,b)  k  !k  k>1  k<1   comma = AND; != and notin match
//   absence fieldSelector:  path=v  path==v  path!=v      comma = AND; \ escapes ,  =  and \ itself
//
// Errors: 400 with Kubernetes' words. Threads: pure. Source: spec/kubernetes.md API-50, API-51.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/failure.h"

namespace weft::apiserver {

struct LabelRequirement {
    enum class Operator : uint8_t { in, not_in, exists, not_exists, greater, less };
    std::string key;
    Operator op = Operator::exists;
    std::vector<std::string> values;
};

struct FieldRequirement {
    std::string path;
    bool equal = true;
    std::string value;
};

class Selector {
public:
    static Outcome<Selector> parse(const Kind& kind, std::string_view labels, std::string_view fields);

    bool matches(const json::Value& object) const;
    bool matches_all() const { return labels_.empty() && fields_.empty(); }
    // Whether what matches has this value in this field, and nothing else does.
    bool demands(std::string_view path, std::string_view value) const;
    // The name that metadata.name=... pins, "" when none: narrows what must be read.
    std::string_view only_name() const;

private:
    std::vector<LabelRequirement> labels_;
    std::vector<FieldRequirement> fields_;
};

}  // namespace weft::apiserver
