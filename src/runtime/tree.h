// Tree: the files that a container sees: mount and UTS namespaces of its own, its root folder, its volumes and the
// pod's own files under /etc.
//
// A volume may stand where the root folder has nothing (/data). Nothing is written to the root folder for that: the
// nearest folder that exists is covered by one in memory, into which everything that was there is bound again.
//
// Called in a process that is to become the container, as root, with one thread. Errors name the path. Kernel >= 5.12.
#pragma once
#include "base/result.h"
#include "protocol/runtime.h"

namespace weft::runtime {

Status build_tree(const protocol::runtime::Launch& plan);

}  // namespace weft::runtime
