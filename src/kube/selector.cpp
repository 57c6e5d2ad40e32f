#include "kube/selector.h"

#include "base/strings.h"

namespace weft::kube {

namespace {

// Commas separate requirements, but not inside the parentheses of a value list.
std::vector<std::string_view> requirements_of(std::string_view text) {
    std::vector<std::string_view> parts;
    size_t first = 0;
    int depth = 0;
    for (size_t at = 0; at < text.size(); at++) {
        if (text[at] == '(') depth++;
        if (text[at] == ')') depth--;
        if (text[at] != ',' || depth > 0) continue;
        parts.push_back(trim(text.substr(first, at - first)));
        first = at + 1;
    }
    parts.push_back(trim(text.substr(first)));
    return parts;
}

bool is_label_key(std::string_view key) {
    return !key.empty() && key.find_first_of(" ()=!<>,") == std::string_view::npos;
}

std::unexpected<Error> bad_requirement(std::string_view part) {
    return fail(Code::invalid, fmt::format("unable to parse requirement: \"{}\"", part));
}

}  // namespace

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
    LabelSelector selector;
    if (trim(text).empty()) return selector;
    for (const std::string_view part : requirements_of(text)) {
        Requirement requirement;
        if (const size_t equals = part.find('='); equals != std::string_view::npos) {
            const bool negated = equals > 0 && part[equals - 1] == '!';
            const bool doubled = equals + 1 < part.size() && part[equals + 1] == '=';
            requirement.key = trim(part.substr(0, negated ? equals - 1 : equals));
            requirement.op = negated ? Op::not_in : Op::in;
            requirement.values.emplace(trim(part.substr(equals + (doubled && !negated ? 2 : 1))));
        } else if (const size_t open = part.find('('); open != std::string_view::npos && part.back() == ')') {
            const std::string_view head = trim(part.substr(0, open));
            const size_t space = head.find(' ');
            if (space == std::string_view::npos) return bad_requirement(part);
            const std::string_view word = trim(head.substr(space));
            if (word != "in" && word != "notin") return bad_requirement(part);
            requirement.key = head.substr(0, space);
            requirement.op = word == "in" ? Op::in : Op::not_in;
            for (const std::string_view value : split(part.substr(open + 1, part.size() - open - 2), ','))
                requirement.values.emplace(trim(value));
        } else if (part.starts_with('!')) {
            requirement.key = trim(part.substr(1));
            requirement.op = Op::absent;
        } else {
            requirement.key = part;
            requirement.op = Op::exists;
        }
        if (!is_label_key(requirement.key)) return bad_requirement(part);
        selector.requirements_.push_back(std::move(requirement));
    }
    return selector;
}

bool LabelSelector::matches(const Labels& labels) const {
    for (const Requirement& requirement : requirements_) {
        const auto label = labels.find(requirement.key);
        const bool present = label != labels.end();
        const bool listed = present && requirement.values.contains(label->second);
        const bool holds = requirement.op == Op::in       ? listed
                           : requirement.op == Op::not_in ? !listed
                           : requirement.op == Op::exists ? present
                                                          : !present;
        if (!holds) return false;
    }
    return true;
}

Result<FieldSelector> FieldSelector::parse(std::string_view text) {
    FieldSelector selector;
    if (trim(text).empty()) return selector;
    for (const std::string_view part : split(text, ',')) {
        const size_t equals = part.find('=');
        if (equals == std::string_view::npos || equals == 0)
            return fail(Code::invalid, fmt::format("invalid field selector \"{}\": must be <field>=<value>", part));
        const bool negated = part[equals - 1] == '!';
        const bool doubled = equals + 1 < part.size() && part[equals + 1] == '=';
        Requirement requirement;
        for (const std::string_view step : split(trim(part.substr(0, negated ? equals - 1 : equals)), '.'))
            requirement.path.emplace_back(step);
        requirement.value = trim(part.substr(equals + (doubled && !negated ? 2 : 1)));
        requirement.equal = !negated;
        selector.requirements_.push_back(std::move(requirement));
    }
    return selector;
}

bool FieldSelector::matches(const Object& object) const {
    for (const Requirement& requirement : requirements_) {
        const json::Value* at = &object.body();
        for (const std::string& step : requirement.path) at = at == nullptr ? nullptr : json::find(*at, {step});
        std::string text;
        if (at != nullptr && !at->is_null())
            text = at->is_string() ? json::view(at->get_string()) : json::serialize(*at);
        if ((text == requirement.value) != requirement.equal) return false;
    }
    return true;
}

}  // namespace weft::kube
