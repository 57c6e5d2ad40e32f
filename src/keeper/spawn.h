// Spawn: starts a worker as worker.h says: descriptors 3, 4 and 5, no capability from its first instruction on, its own
// session (a terminal's signals and the keeper's end do not reach it), in the node's system cgroup if there is one.
//
// Errors: the operating system's. A failing exec shows as an exit with 127. Threads: the keeper's only one.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace weft::keeper {

struct Command {
    std::vector<std::string> arguments;  // [0] is the program's path
    std::string cgroup_procs;            // file to write "0" to; "" = stay where the keeper is
    std::string token;
    std::string adopt_path;
};

struct Spawned {
    pid_t pid = -1;
    Fd pidfd;    // readable when it has ended
    Fd channel;  // our end, with SO_PASSCRED
};

Result<Spawned> spawn(const Command& command);
// The end of a living worker's adopt socket: not_found when nobody listens there.
Result<Fd> connect_adopt(const std::string& path);
Result<Fd> open_pidfd(pid_t pid);
// "" unless the cgroup exists already: making it is the supervisor's business.
std::string cgroup_procs_file(const std::string& cgroup);

}  // namespace weft::keeper
