// The small JSONPath of printer columns: .a.b  ['a.b/c']  .a\.b  [0]  [-1]  [*]  [?(@.type=="Ready")].
#include "apiserver/table.h"
#include "base/strings.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;
using Values = std::vector<const json::Value*>;

class Walker {
public:
    Walker(const json::Value& root, Text path) : path_(path) { values_.push_back(&root); }

    Values walk() {
        while (at_ < path_.size() && !is_broken_) {
            if (path_[at_] == '.') {
                at_++;
                if (at_ < path_.size() && path_[at_] != '[') member(dotted_name());
            } else if (path_[at_] == '[') {
                const size_t end = closing_bracket();
                if (end == path_.npos) return {};
                bracket(trim(path_.substr(at_ + 1, end - at_ - 1)));
                at_ = end + 1;
            } else {
                return {};
            }
        }
        return is_broken_ ? Values{} : values_;
    }

private:
    std::string dotted_name() {
        std::string name;
        while (at_ < path_.size() && path_[at_] != '.' && path_[at_] != '[') {
            if (path_[at_] == '\\' && at_ + 1 < path_.size()) at_++;
            name += path_[at_++];
        }
        return name;
    }

    // A bracket may stand inside quotes.
    size_t closing_bracket() const {
        char quote = 0;
        int depth = 0;
        for (size_t at = at_; at < path_.size(); at++) {
            const char c = path_[at];
            if (quote != 0) {
                if (c == quote) quote = 0;
            } else if (c == '"' || c == '\'') {
                quote = c;
            } else if (c == '[') {
                depth++;
            } else if (c == ']' && --depth == 0) {
                return at;
            }
        }
        return path_.npos;
    }

    void member(const std::string& name) {
        if (name == "*") return all();
        Values next;
        for (const json::Value* value : values_) {
            const json::Object* object = value->if_object();
            if (const json::Value* found = object == nullptr ? nullptr : object->if_contains(name))
                next.push_back(found);
        }
        values_ = std::move(next);
    }

    void all() {
        Values next;
        for (const json::Value* value : values_) {
            if (const json::Array* array = value->if_array()) {
                for (const json::Value& item : *array) next.push_back(&item);
            } else if (const json::Object* object = value->if_object()) {
                for (const auto& entry : *object) next.push_back(&entry.value());
            }
        }
        values_ = std::move(next);
    }

    void bracket(Text inside) {
        if (inside == "*") return all();
        if (inside.size() >= 2 && (inside[0] == '\'' || inside[0] == '"') && inside.back() == inside[0]) {
            return member(std::string(inside.substr(1, inside.size() - 2)));
        }
        if (inside.starts_with("?(") && inside.ends_with(")")) return filter(trim(inside.substr(2, inside.size() - 3)));
        const bool is_from_end = inside.starts_with('-');
        const auto number = parse_unsigned(is_from_end ? inside.substr(1) : inside);
        if (!number) {
            is_broken_ = true;
            return;
        }
        Values next;
        for (const json::Value* value : values_) {
            const json::Array* array = value->if_array();
            if (array == nullptr || *number > array->size()) continue;
            const size_t index = is_from_end ? array->size() - size_t(*number) : size_t(*number);
            if (index < array->size()) next.push_back(&(*array)[index]);
        }
        values_ = std::move(next);
    }

    // @.a.b=="x" or @.a.b!="x"; the right side a quoted text, a number, true or false.
    void filter(Text condition) {
        const bool is_equal = condition.find("==") != condition.npos;
        const size_t sign = condition.find(is_equal ? "==" : "!=");
        if (sign == condition.npos || !condition.starts_with('@')) {
            is_broken_ = true;
            return;
        }
        const Text left = trim(condition.substr(1, sign - 1));
        Text right = trim(condition.substr(sign + 2));
        if (right.size() >= 2 && (right[0] == '"' || right[0] == '\'') && right.back() == right[0]) {
            right = right.substr(1, right.size() - 2);
        }
        Values next;
        for (const json::Value* value : values_) {
            const json::Array* array = value->if_array();
            if (array == nullptr) continue;
            for (const json::Value& item : *array) {
                const Values found = json_path(item, left);
                const bool is_same =
                    !found.empty() && (found[0]->is_string() ? json::view(found[0]->get_string()) == right
                                                             : json::serialize(*found[0]) == right);
                if (is_same == is_equal) next.push_back(&item);
            }
        }
        values_ = std::move(next);
    }

    Text path_;
    size_t at_ = 0;
    bool is_broken_ = false;
    Values values_;
};

}  // namespace

std::vector<const json::Value*> json_path(const json::Value& root, Text path) { return Walker(root, path).walk(); }

}  // namespace weft::apiserver
