#include "cli/nodes.h"

#include <algorithm>

#include "standalone/node_list.h"

namespace weft::cli {

Result<std::vector<std::string>> node_names(const Instance& instance, const std::string& only) {
    std::vector<std::string> names;
    std::string known;
    for (const standalone::NodeSpec& node : TRY(standalone::read_nodes(instance))) {
        names.push_back(node.name);
        known += " " + node.name;
    }
    if (only.empty()) return names;
    if (std::find(names.begin(), names.end(), only) == names.end())
        return fail(Code::not_found, "no node named \"" + only + "\"; there are:" + known);
    return std::vector<std::string>{only};
}

Result<kernel::NodeMaps> maps_of_node(const Instance& instance, const std::string& node) {
    return TRY_IN("is the agent of " + node + " up? (weft status)", kernel::open_pinned_maps(instance.bpf_dir(node)));
}

}  // namespace weft::cli
