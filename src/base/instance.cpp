#include "base/instance.h"

#include "base/strings.h"

namespace weft {

static constexpr size_t instance_name_max = 12;
static constexpr size_t node_name_max = 20;

Result<Instance> Instance::parse(std::string_view name) {
    const bool plain = name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == std::string_view::npos;
    if (name.empty() || name.size() > instance_name_max || !plain)
        return fail(Code::invalid, "instance name \"" + std::string(name) + "\": must be 1 to 12 of a-z and 0-9");
    return Instance(std::string(name));
}

Status check_node_name(std::string_view node) {
    if (!is_dns1123_label(node) || node.size() > node_name_max)
        return fail(Code::invalid, "node name \"" + std::string(node) + "\": must be a DNS label of at most 20 characters");
    if (node == "fabric" || node == "internet" || node == "tokens" || node == "bpf")
        return fail(Code::invalid, "node name \"" + std::string(node) + "\": is reserved");
    return {};
}

}  // namespace weft
