// Supervise: starting and ending the supervisor of an instance, for the verbs that change which nodes there are. What the
// supervisor keeps running runs on without it. Threads: the verb's.
#pragma once
#include "cli/verbs.h"
#include "standalone/supervisor.h"

namespace weft::cli {

// Of args.nodes, else of those that run, else one node.
Result<standalone::SupervisorOptions> supervisor_options(const Instance& instance, const UpArgs& args);

// Found running with just these nodes, it stays; with fewer it is replaced, and the new ones join. conflict: it runs with
// nodes that are not among these.
Status start_supervisor(const standalone::SupervisorOptions& options);
Status stop_supervisor(const Instance& instance);

}  // namespace weft::cli
