// Launch: from a plan to a running process: its cgroup, its mount and UTS namespaces with the pod's own files bound
// over the program's, its root folder, its user; then exec. The network namespace is the caller's.
//
// The parent must have one thread. Errors come from the child over a pipe and name the step ("mount /etc/resolv.conf:
// ...").
#pragma once
#include <sys/types.h>

#include "base/fd.h"
#include "base/result.h"
#include "protocol/runtime.h"

namespace weft::runtime {

struct Launched {
    pid_t pid = 0;
    uint64_t started = 0;  // field 22 of /proc/PID/stat
    Fd out, err;           // reading ends, non-blocking
};

// A process that dies with its parent (the shim), leading its own session.
Result<Launched> launch(const protocol::runtime::Launch& plan);

// In a process of its own: becomes the program, in the namespaces of the running container `pid`; returns only on
// error.
Error enter_and_exec(const protocol::runtime::Launch& plan, pid_t pid, uint64_t pid_started);

// Field 22 of /proc/PID/stat; 0 when there is no such process.
uint64_t process_start_time(pid_t pid);

}  // namespace weft::runtime
