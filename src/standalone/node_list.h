// NodeList: which nodes an instance has, as `weft up` writes them down for everybody who asks: "n1=zone-a@1,n2=zone-b+zone-c@2".
// A node's number makes its underlay address, so it keeps it when others come and go; a new one gets the lowest free.
//
// Errors: invalid names the text; exhausted: nodes_max; not_found: the instance is not up. Threads: values and a file.
#pragma once
#include <string>
#include <vector>

#include "standalone/topology.h"

namespace weft::standalone {

// "NAME[=ZONE[+ZONE...]][@NUMBER]" each. A node of `running` keeps its number.
Result<std::vector<NodeSpec>> parse_nodes(const std::vector<std::string>& texts, const std::vector<NodeSpec>& running = {});
std::string node_text(const NodeSpec& node);
std::string nodes_text(const std::vector<NodeSpec>& nodes);

// What stands in the run folder.
Result<std::vector<NodeSpec>> read_nodes(const Instance& instance);
Status write_nodes(const Instance& instance, const std::vector<NodeSpec>& nodes);

}  // namespace weft::standalone
