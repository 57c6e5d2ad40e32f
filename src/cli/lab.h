// Lab: a small cluster on one machine: N nodes n1.., in Z zones cn-local-a.. in turn. It is `weft up` with these nodes,
// and afterwards a table of what runs where. Errors: more nodes or zones than there are names for. Threads: none.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/verbs.h"

namespace weft::cli {

struct LabArgs {
    unsigned nodes = 3;
    unsigned zones = 2;
};

// "n1=cn-local-a", "n2=cn-local-b", "n3=cn-local-a"; with fewer nodes than zones a node stands for several.
Result<std::vector<std::string>> lab_nodes(const LabArgs& lab);

}  // namespace weft::cli
