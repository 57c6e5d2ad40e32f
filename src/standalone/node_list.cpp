#include "standalone/node_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/fd.h"
#include "base/strings.h"

namespace weft::standalone {

static constexpr std::string_view default_zone = "cn-local-a";

static std::string file_of(const Instance& instance) { return instance.run_dir() + "/nodes"; }

// number 0: none is given.
static Result<NodeSpec> parse_node(std::string_view text) {
    NodeSpec node;
    node.number = 0;
    const size_t at = text.find('@');
    if (at != text.npos) {
        const auto number = parse_unsigned(text.substr(at + 1));
        if (!number || *number < 1 || *number > nodes_max)
            return fail(Code::invalid, fmt::format("{}: the number must be 1 to {}", text, nodes_max));
        node.number = unsigned(*number);
        text = text.substr(0, at);
    }
    const size_t equals = text.find('=');
    node.name = text.substr(0, equals);
    TRY(check_node_name(node.name));
    if (equals != text.npos)
        for (const std::string_view zone : split(text.substr(equals + 1), '+')) node.zones.emplace_back(zone);
    if (node.zones.empty()) node.zones.emplace_back(default_zone);
    return node;
}

Result<std::vector<NodeSpec>> parse_nodes(const std::vector<std::string>& texts, const std::vector<NodeSpec>& running) {
    if (texts.size() > nodes_max) return fail(Code::exhausted, fmt::format("--node: at most {} nodes", nodes_max));
    std::vector<NodeSpec> nodes;
    std::set<std::string> names;
    std::set<unsigned> numbers;
    for (const std::string& text : texts) {
        NodeSpec node = TRY_IN("--node", parse_node(text));
        if (!names.insert(node.name).second)
            return fail(Code::invalid, "--node: \"" + node.name + "\" is given twice");
        for (const NodeSpec& other : running)
            if (other.name == node.name) node.number = other.number;
        if (node.number != 0 && !numbers.insert(node.number).second)
            return fail(Code::invalid, fmt::format("--node: number {} is given twice", node.number));
        nodes.push_back(std::move(node));
    }
    for (const NodeSpec& other : running) numbers.insert(other.number);
    unsigned next = 1;
    for (NodeSpec& node : nodes) {
        if (node.number != 0) continue;
        while (numbers.contains(next)) ++next;
        if (next > nodes_max) return fail(Code::exhausted, fmt::format("--node: at most {} nodes", nodes_max));
        node.number = next;
        numbers.insert(next);
    }
    return nodes;
}

std::string node_text(const NodeSpec& node) {
    std::string text = node.name + "=";
    for (const std::string& zone : node.zones) text += (text.back() == '=' ? "" : "+") + zone;
    return fmt::format("{}@{}", text, node.number);
}

std::string nodes_text(const std::vector<NodeSpec>& nodes) {
    std::string text;
    for (const NodeSpec& node : nodes) text += (text.empty() ? "" : ",") + node_text(node);
    return text;
}

Result<std::vector<NodeSpec>> read_nodes(const Instance& instance) {
    const auto text = read_file(file_of(instance));
    if (!text) return fail(Code::not_found, "instance " + instance.name() + " is not up; start it with: weft up --instance " + instance.name());
    return parse_nodes(split_list(*text));
}

Status write_nodes(const Instance& instance, const std::vector<NodeSpec>& nodes) {
    return write_file(file_of(instance), nodes_text(nodes));
}

}  // namespace weft::standalone
