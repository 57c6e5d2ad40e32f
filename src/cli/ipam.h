// weft ipam check: compares what the API says of addresses with what the nodes' agents and kernels have; with --repair
// it mends what it can and looks again. Exit code 0: all is well (or mended), 1: something is wrong. Threads: the
// verb's.
#pragma once
#include "cli/context.h"

namespace weft::cli {

int ipam_check(const Common& common, bool repair);

}  // namespace weft::cli
