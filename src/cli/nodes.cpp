#include "cli/nodes.h"

#include <algorithm>

#include "base/fd.h"
#include "base/strings.h"

namespace weft::cli {

Result<std::vector<std::string>> node_names(const Instance& instance, const std::string& only) {
    const auto text = read_file(instance.run_dir() + "/nodes");
    if (!text) return fail(Code::not_found, "instance " + instance.name() + " is not up; start it with: weft up");
    std::vector<std::string> names;
    std::string known;
    for (const std::string& line : split_list(*text)) {
        names.push_back(line.substr(0, line.find('=')));
        known += " " + names.back();
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
