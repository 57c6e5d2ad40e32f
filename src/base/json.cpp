#include "base/json.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <sstream>
#include <unordered_set>

namespace weft::json {

namespace {

// Walks the text once more to find member names given twice; the text is known to be valid JSON.
class DuplicateFinder {
public:
    DuplicateFinder(std::string_view text, std::vector<std::string>& out) : text_(text), out_(out) {}

    void run() { value(""); }

private:
    void space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

    std::string string_token() {
        const size_t first = at_++;
        while (text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
        at_++;
        boost::system::error_code error;
        const Value name = boost::json::parse(text_.substr(first, at_ - first), error);
        return error || !name.is_string() ? "" : std::string(view(name.get_string()));
    }

    void value(const std::string& path) {
        space();
        if (text_[at_] == '{') {
            members(path);
        } else if (text_[at_] == '[') {
            elements(path);
        } else if (text_[at_] == '"') {
            string_token();
        } else {
            at_ = std::min(text_.find_first_of(",]} \t\r\n", at_), text_.size());
        }
        space();
    }

    void members(const std::string& path) {
        std::unordered_set<std::string> seen;
        at_++;
        space();
        while (text_[at_] != '}') {
            const std::string name = string_token();
            const std::string where = path.empty() ? name : path + "." + name;
            if (!seen.insert(name).second) out_.push_back(where);
            space();
            at_++;  // ':'
            value(where);
            if (text_[at_] == ',') at_++;
            space();
        }
        at_++;
    }

    void elements(const std::string& path) {
        at_++;
        space();
        for (size_t index = 0; text_[at_] != ']'; index++) {
            value(path + "[" + std::to_string(index) + "]");
            if (text_[at_] == ',') at_++;
            space();
        }
        at_++;
    }

    std::string_view text_;
    std::vector<std::string>& out_;
    size_t at_ = 0;
};

}  // namespace

Result<Value> parse(std::string_view text, std::vector<std::string>* duplicates) {
    if (text.size() > json_bytes_max) return fail(Code::exhausted, "json: larger than 3145728 bytes");
    boost::json::parse_options options;
    options.max_depth = json_depth_max;
    boost::system::error_code error;
    boost::json::stream_parser parser({}, options);
    const size_t used = parser.write(text.data(), text.size(), error);
    if (!error) parser.finish(error);
    if (error) return fail(Code::invalid, fmt::format("json: {} near byte {}", error.message(), used));
    Value value = parser.release();
    if (duplicates != nullptr) DuplicateFinder(text, *duplicates).run();
    return value;
}

std::string serialize(const Value& value) { return boost::json::serialize(value); }

static void pretty(std::string& out, const Value& value, size_t indent) {
    if (value.is_object() && !value.get_object().empty()) {
        out += "{\n";
        bool first = true;
        for (const auto& [name, member] : value.get_object()) {
            if (!first) out += ",\n";
            first = false;
            out.append(indent + 2, ' ');
            out += boost::json::serialize(boost::json::string_view(name));
            out += ": ";
            pretty(out, member, indent + 2);
        }
        out += '\n';
        out.append(indent, ' ');
        out += '}';
    } else if (value.is_array() && !value.get_array().empty()) {
        out += "[\n";
        bool first = true;
        for (const Value& element : value.get_array()) {
            if (!first) out += ",\n";
            first = false;
            out.append(indent + 2, ' ');
            pretty(out, element, indent + 2);
        }
        out += '\n';
        out.append(indent, ' ');
        out += ']';
    } else {
        out += boost::json::serialize(value);
    }
}

std::string serialize_pretty(const Value& value) {
    std::string out;
    pretty(out, value, 0);
    out += '\n';
    return out;
}

// YAML 1.2 core schema scalars, as Kubernetes' YAML reader resolves them (a quoted scalar is always a string).
static Value scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (node.Tag() == "!") return Value(text);
    if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return Value(nullptr);
    if (text == "true" || text == "True" || text == "TRUE") return Value(true);
    if (text == "false" || text == "False" || text == "FALSE") return Value(false);
    int64_t integer = 0;
    const char* first = text.data();
    const char* last = first + text.size();
    if (*first == '+') first++;
    if (const auto [end, error] = std::from_chars(first, last, integer); error == std::errc() && end == last) return integer;
    if (text.find_first_not_of("0123456789+-.eE") == std::string::npos) {
        double number = 0;
        if (const auto [end, error] = std::from_chars(first, last, number); error == std::errc() && end == last && std::isfinite(number))
            return number;
    }
    return Value(text);
}

// Aliases are expanded, so a small text can name a huge value ("billion laughs"): `left` counts what may still be made.
static Result<Value> from_yaml(const YAML::Node& node, size_t depth, size_t& left) {
    if (depth > json_depth_max) return fail(Code::invalid, "yaml: nested too deeply");
    if (left-- == 0) return fail(Code::invalid, "yaml: more than 1000000 values");
    switch (node.Type()) {
        case YAML::NodeType::Scalar: return scalar(node);
        case YAML::NodeType::Sequence: {
            Array array;
            for (const YAML::Node& element : node) array.push_back(TRY(from_yaml(element, depth + 1, left)));
            return array;
        }
        case YAML::NodeType::Map: {
            Object object;
            for (const auto& member : node) {
                if (!member.first.IsScalar()) return fail(Code::invalid, "yaml: a mapping key is not a scalar");
                object.insert_or_assign(member.first.Scalar(), TRY(from_yaml(member.second, depth + 1, left)));
            }
            return object;
        }
        default: return Value(nullptr);
    }
}

// yaml-cpp 0.7 reads empty documents without end where a stray bracket stands between documents, and LoadAll() would never
// come back: count them first, with a limit. What does not parse at all is left to LoadAll's own error.
static bool yaml_ends(std::string_view text) {
    static constexpr size_t documents_max = 10'000;
    struct Nothing final : YAML::EventHandler {
        void OnDocumentStart(const YAML::Mark&) override {}
        void OnDocumentEnd() override {}
        void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
        void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
        void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
        void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
        void OnSequenceEnd() override {}
        void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
        void OnMapEnd() override {}
    } nothing;
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        for (size_t documents = 0; parser.HandleNextDocument(nothing); documents++)
            if (documents == documents_max) return false;
    } catch (const YAML::Exception&) {
        return true;
    }
    return true;
}

Result<std::vector<Value>> parse_yaml(std::string_view text) {
    if (!yaml_ends(text)) return fail(Code::invalid, "yaml: malformed, or too many documents");
    std::vector<YAML::Node> documents;
    try {  // the library's border: yaml-cpp reports by exception
        documents = YAML::LoadAll(std::string(text));
    } catch (const YAML::Exception& error) {
        return fail(Code::invalid, fmt::format("yaml: {}", error.what()));
    }
    std::vector<Value> values;
    size_t left = yaml_values_max;
    for (const YAML::Node& document : documents) {
        if (!document.IsDefined() || document.IsNull()) continue;
        values.push_back(TRY(from_yaml(document, 0, left)));
    }
    return values;
}

static void emit(YAML::Emitter& out, const Value& value) {
    if (value.is_object()) {
        if (value.get_object().empty()) out << YAML::Flow;
        out << YAML::BeginMap;
        for (const auto& [name, member] : value.get_object()) {
            out << YAML::Key << std::string(name) << YAML::Value;
            emit(out, member);
        }
        out << YAML::EndMap;
    } else if (value.is_array()) {
        if (value.get_array().empty()) out << YAML::Flow;
        out << YAML::BeginSeq;
        for (const Value& element : value.get_array()) emit(out, element);
        out << YAML::EndSeq;
    } else if (value.is_string()) {
        const std::string text(view(value.get_string()));
        YAML::Node probe(text);
        if (text.find('\n') != std::string::npos) {
            out << YAML::Literal << text;
        } else if (!scalar(probe).is_string() || text.find_first_of(":#{}[]&*!|>'\"%@`,") != std::string::npos) {
            out << YAML::DoubleQuoted << text;
        } else {
            out << text;
        }
    } else if (value.is_null()) {
        out << YAML::Null;
    } else {
        out << boost::json::serialize(value);
    }
}

std::string to_yaml(const Value& value) {
    YAML::Emitter out;
    out.SetSeqFormat(YAML::Block);
    emit(out, value);
    return std::string(out.c_str()) + "\n";
}

const Value* find(const Value& root, Path path) {
    const Value* at = &root;
    for (const std::string_view step : path) {
        const Object* object = at->if_object();
        if (object == nullptr) return nullptr;
        at = object->if_contains(boost::json::string_view(step.data(), step.size()));
        if (at == nullptr) return nullptr;
    }
    return at;
}

const Object* find_object(const Value& root, Path path) {
    const Value* value = find(root, path);
    return value == nullptr ? nullptr : value->if_object();
}

const Array* find_array(const Value& root, Path path) {
    const Value* value = find(root, path);
    return value == nullptr ? nullptr : value->if_array();
}

std::string_view find_string(const Value& root, Path path, std::string_view otherwise) {
    const Value* value = find(root, path);
    return value == nullptr || !value->is_string() ? otherwise : view(value->get_string());
}

int64_t find_int(const Value& root, Path path, int64_t otherwise) {
    const Value* value = find(root, path);
    if (value == nullptr) return otherwise;
    if (value->is_int64()) return value->get_int64();
    if (value->is_uint64() && value->get_uint64() <= INT64_MAX) return int64_t(value->get_uint64());
    return otherwise;
}

bool find_bool(const Value& root, Path path, bool otherwise) {
    const Value* value = find(root, path);
    return value == nullptr || !value->is_bool() ? otherwise : value->get_bool();
}

std::vector<std::string> find_strings(const Value& root, Path path) {
    std::vector<std::string> strings;
    const Array* array = find_array(root, path);
    if (array == nullptr) return strings;
    for (const Value& element : *array)
        if (element.is_string()) strings.emplace_back(view(element.get_string()));
    return strings;
}

bool has(const Value& root, Path path) { return find(root, path) != nullptr; }

void set(Value& root, Path path, Value value) {
    Value* at = &root;
    for (const std::string_view step : path) {
        if (!at->is_object()) at->emplace_object();
        at = &at->get_object()[boost::json::string_view(step.data(), step.size())];
    }
    *at = std::move(value);
}

void erase(Value& root, Path path) {
    if (path.size() == 0) return;
    Value* at = &root;
    const std::string_view* step = path.begin();
    for (; step + 1 != path.end(); ++step) {
        Object* object = at->if_object();
        at = object == nullptr ? nullptr : object->if_contains(boost::json::string_view(step->data(), step->size()));
        if (at == nullptr) return;
    }
    Object* object = at->if_object();
    if (object == nullptr) return;
    const auto member = object->find(boost::json::string_view(step->data(), step->size()));
    if (member != object->end()) object->stable_erase(member);
}

}  // namespace weft::json
