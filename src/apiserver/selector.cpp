#include "apiserver/selector.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/strings.h"

namespace weft::apiserver {

namespace {

// Words and marks of a label selector: "a in (b,c)" is a, in, (, b, ",", c, ).
class LabelParser {
public:
    explicit LabelParser(std::string_view text) : text_(text) {}

    Outcome<std::vector<LabelRequirement>> run() {
        std::vector<LabelRequirement> all;
        while (!peek().empty()) {
            all.push_back(TRY(requirement()));
            const std::string_view separator = take();
            if (separator.empty()) break;
            if (separator != ",") return unexpected(separator, "',' or end");
            if (peek().empty()) return unexpected("", "a requirement after ','");
        }
        return all;
    }

private:
    static constexpr std::string_view marks = "(),=!<>";

    std::string_view scan(size_t& at) const {
        while (at < text_.size() && (text_[at] == ' ' || text_[at] == '\t')) at++;
        const size_t first = at;
        if (at == text_.size()) return {};
        if (marks.find(text_[at]) != std::string_view::npos) {
            at++;
            if ((text_[first] == '=' || text_[first] == '!') && at < text_.size() && text_[at] == '=') at++;
            return text_.substr(first, at - first);
        }
        while (at < text_.size() && marks.find(text_[at]) == std::string_view::npos && text_[at] != ' ' &&
               text_[at] != '\t')
            at++;
        return text_.substr(first, at - first);
    }

    std::string_view peek() const {
        size_t at = at_;
        return scan(at);
    }

    std::string_view take() { return scan(at_); }

    static bool is_word(std::string_view token) {
        return !token.empty() && marks.find(token[0]) == std::string_view::npos;
    }

    static std::unexpected<Failure> unexpected(std::string_view found, std::string_view expected) {
        return refuse(400, "BadRequest",
                      fmt::format("unable to parse requirement: found '{}', expected: {}", found, expected));
    }

    // A value may be missing: "k=" asks for the empty one.
    std::string value() {
        const std::string_view next = peek();
        return is_word(next) ? std::string(take()) : std::string();
    }

    Outcome<LabelRequirement> requirement() {
        using Operator = LabelRequirement::Operator;
        LabelRequirement one;
        std::string_view token = take();
        if (token == "!") {
            one.op = Operator::not_exists;
            token = take();
        }
        if (!is_word(token)) return unexpected(token, "a label key");
        one.key = token;
        TRY(check_key(one.key));
        const std::string_view next = peek();
        if (one.op == Operator::not_exists || next.empty() || next == ",") return one;
        const std::string_view op = take();
        if (op == "=" || op == "==" || op == "!=") {
            one.op = op == "!=" ? Operator::not_in : Operator::in;
            one.values.push_back(value());
        } else if (op == "in" || op == "notin") {
            one.op = op == "in" ? Operator::in : Operator::not_in;
            TRY(value_list(one.values));
        } else if (op == ">" || op == "<") {
            one.op = op == ">" ? Operator::greater : Operator::less;
            one.values.push_back(value());
            if (!number(one.values[0])) return unexpected(one.values[0], "an integer");
        } else {
            return unexpected(op, "in, notin, =, ==, !=, >, <");
        }
        for (const std::string& text : one.values) TRY(check_value(one.key, text));
        return one;
    }

    Done value_list(std::vector<std::string>& values) {
        if (peek() != "(") return unexpected(peek(), "'('");
        take();
        while (true) {
            values.push_back(value());
            const std::string_view next = take();
            if (next == ")") return {};
            if (next != ",") return unexpected(next, "',' or ')'");
        }
    }

    static bool is_name_part(std::string_view text) {
        const auto alphanumeric = [](char c) { return isalnum(uint8_t(c)) != 0; };
        if (text.empty() || text.size() > 63 || !alphanumeric(text.front()) || !alphanumeric(text.back())) return false;
        return std::all_of(text.begin(), text.end(),
                           [&](char c) { return alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
    }

    static Done check_key(std::string_view key) {
        const size_t slash = key.find('/');
        const bool prefix_fits = slash == std::string_view::npos || is_dns1123_subdomain(key.substr(0, slash));
        if (prefix_fits && is_name_part(slash == std::string_view::npos ? key : key.substr(slash + 1))) return {};
        return refuse(400, "BadRequest",
                      fmt::format("unable to parse requirement: key: Invalid value: \"{}\": name part must "
                                  "consist of alphanumeric characters, '-', '_' or '.'",
                                  key));
    }

    static Done check_value(std::string_view key, std::string_view value) {
        if (value.empty() || is_name_part(value)) return {};
        return refuse(400, "BadRequest",
                      fmt::format("unable to parse requirement: values[0][{}]: Invalid value: \"{}\": a valid "
                                  "label must be an empty string or consist of alphanumeric characters, "
                                  "'-', '_' or '.'",
                                  key, value));
    }

    static bool number(std::string_view text) {
        int64_t parsed = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
        return error == std::errc() && end == text.data() + text.size();
    }

    std::string_view text_;
    size_t at_ = 0;
};

Outcome<std::vector<FieldRequirement>> parse_fields(const Kind& kind, std::string_view text) {
    std::vector<FieldRequirement> all;
    size_t at = 0;
    while (at < text.size()) {
        std::string term, path;
        bool has_operator = false;
        FieldRequirement one;
        for (; at < text.size() && text[at] != ','; at++) {
            if (text[at] == '\\') {
                if (++at == text.size() || (text[at] != ',' && text[at] != '=' && text[at] != '\\'))
                    return refuse(400, "BadRequest",
                                  fmt::format("invalid field selector \"{}\": invalid escape", text));
                term += text[at];
            } else if (!has_operator && (text[at] == '=' || (text[at] == '!' && text.substr(at, 2) == "!="))) {
                has_operator = true;
                one.equal = text[at] == '=';
                if (!one.equal || text.substr(at, 2) == "==") at++;
                path = std::exchange(term, {});
            } else {
                term += text[at];
            }
        }
        at++;
        if (!has_operator && term.empty()) continue;
        if (!has_operator)
            return refuse(400, "BadRequest", fmt::format("invalid selector: '{}'; can't understand '{}'", text, term));
        one.path = path;
        one.value = term;
        const bool known = path == "metadata.name" || (path == "metadata.namespace") ||
                           std::find(kind.selectable_fields.begin(), kind.selectable_fields.end(), path) !=
                               kind.selectable_fields.end();
        if (!known && kind.custom)
            return refuse(400, "BadRequest",
                          fmt::format("\"{}\" is not a known field selector: only \"metadata.name\", "
                                      "\"metadata.namespace\"",
                                      path));
        if (!known) return refuse(400, "BadRequest", "field label not supported: " + path);
        all.push_back(std::move(one));
    }
    return all;
}

std::string field_text(const json::Value& object, std::string_view path) {
    const json::Value* at = &object;
    for (const std::string_view step : split(path, '.')) {
        at = json::find(*at, {step});
        if (at == nullptr) break;
    }
    // Absent booleans are false; absent texts are empty.
    if (at == nullptr || at->is_null())
        return path == "spec.unschedulable" || path == "spec.hostNetwork" ? "false" : "";
    if (path == "source" && at->is_object()) return std::string(json::find_string(*at, {"component"}));
    if (at->is_string()) return std::string(json::view(at->get_string()));
    if (path == "status.podIPs" && at->is_array() && !at->get_array().empty())
        return std::string(json::find_string(at->get_array()[0], {"ip"}));
    return json::serialize(*at);
}

bool label_matches(const LabelRequirement& one, const json::Object* labels) {
    using Operator = LabelRequirement::Operator;
    const json::Value* found = labels == nullptr ? nullptr : labels->if_contains(one.key);
    const bool present = found != nullptr && found->is_string();
    const std::string_view value = present ? json::view(found->get_string()) : std::string_view();
    const bool listed = present && std::find(one.values.begin(), one.values.end(), value) != one.values.end();
    switch (one.op) {
        case Operator::in: return listed;
        case Operator::not_in: return !listed;
        case Operator::exists: return present;
        case Operator::not_exists: return !present;
        case Operator::greater:
        case Operator::less: break;
    }
    int64_t have = 0, want = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), have);
    if (!present || error != std::errc() || end != value.data() + value.size()) return false;
    std::from_chars(one.values[0].data(), one.values[0].data() + one.values[0].size(), want);
    return one.op == Operator::greater ? have > want : have < want;
}

}  // namespace

Outcome<Selector> Selector::parse(const Kind& kind, std::string_view labels, std::string_view fields) {
    Selector selector;
    selector.labels_ = TRY(LabelParser(labels).run());
    selector.fields_ = TRY(parse_fields(kind, fields));
    return selector;
}

bool Selector::matches(const json::Value& object) const {
    if (!labels_.empty()) {
        const json::Object* labels = json::find_object(object, {"metadata", "labels"});
        for (const LabelRequirement& one : labels_)
            if (!label_matches(one, labels)) return false;
    }
    for (const FieldRequirement& one : fields_)
        if ((field_text(object, one.path) == one.value) != one.equal) return false;
    return true;
}

bool Selector::demands(std::string_view path, std::string_view value) const {
    return std::any_of(fields_.begin(), fields_.end(), [&](const FieldRequirement& one) {
        return one.equal && one.path == path && one.value == value;
    });
}

std::string_view Selector::only_name() const {
    for (const FieldRequirement& one : fields_)
        if (one.equal && one.path == "metadata.name") return one.value;
    return {};
}

}  // namespace weft::apiserver
