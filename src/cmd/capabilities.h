// Capabilities: what a process may still do after it has started. Given up before any work, for good (bounding set too).
// Source: design.md §3, table of processes.
#pragma once
#include <initializer_list>

#include "base/result.h"

namespace weft::cmd {

// Numbers as in <linux/capability.h>.
Status keep_only(std::initializer_list<int> capabilities);

}  // namespace weft::cmd
