// Selectors as they stand in a query string, parsed once and asked often.
//   labels: "a=b,c==d,e!=f,g in (h,i),j notin (k),l,!m"    fields: "metadata.name=x,spec.nodeName!=y"
// Errors: invalid, naming the requirement. Threads: values. Source: spec/kubernetes.md API-50, API-51.
#pragma once
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kube/object.h"

namespace weft::kube {

class LabelSelector {
public:
    static Result<LabelSelector> parse(std::string_view text);  // "" matches everything
    bool matches(const Labels& labels) const;

private:
    enum class Op : uint8_t { in, not_in, exists, absent };
    struct Requirement {
        std::string key;
        Op op;
        std::set<std::string> values;
    };
    std::vector<Requirement> requirements_;
};

// Compares the text of the field at a dotted path; an absent field is "". Which fields a server knows is its own
// business.
class FieldSelector {
public:
    static Result<FieldSelector> parse(std::string_view text);
    bool matches(const Object& object) const;

private:
    struct Requirement {
        std::vector<std::string> path;
        std::string value;
        bool equal;
    };
    std::vector<Requirement> requirements_;
};

}  // namespace weft::kube
