// Spawn: runs a helper program to its end and collects what it said. Safe in a process with threads (posix_spawn, every
// descriptor of ours is CLOEXEC). Errors: timeout (the program is killed), exhausted (more output than
// output_bytes_max).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"

namespace weft::runtime {

inline constexpr size_t output_bytes_max = 1024 * 1024;

struct Finished {
    int exit_code = 0;  // 128 + signal when a signal ended it
    std::string out, err;
};

// `environment` as NAME=value; the program gets these only.
Result<Finished> run_program(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                             std::string_view input, Duration timeout);

struct Spawned {
    int pid = 0;
};
// With these three as stdin, stdout and stderr, plus `extra` as descriptor 3 when given; in a session of its own if
// asked.
Result<Spawned> spawn_program(const std::vector<std::string>& argv, const std::vector<std::string>& environment, int in,
                              int out, int err, int extra = -1, bool own_session = false);
int wait_program(int pid);  // exit code as above

}  // namespace weft::runtime
