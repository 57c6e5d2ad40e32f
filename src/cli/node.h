// Node: nodes of a running instance that join, leave in order, or fall over and start again (docs/design/nodes.md). kubectl's
// cordon, drain and `delete node` do the API's half of leaving; `remove` does both halves.
//
// Errors: conflict names pods that nobody would make anew elsewhere; timeout says what is waited for. A verb that was
// interrupted may be given again. Threads: the verb's.
#pragma once
#include <string>

#include "cli/verbs.h"

namespace weft::cli {

struct NodeArgs {
    std::string node;      // add: NAME=ZONE[+ZONE...]
    bool force = false;    // end pods without a controller too, and wait for no grace period
    unsigned wait_s = 120;  // for pods to end
};

int node_add(const Common& common, const UpArgs& up, const NodeArgs& args);
int node_remove(const Common& common, const UpArgs& up, const NodeArgs& args);
int node_reboot(const Common& common, const UpArgs& up, const NodeArgs& args);

}  // namespace weft::cli
