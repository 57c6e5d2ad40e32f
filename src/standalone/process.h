// Process: one of ours, started in the right network namespace and cgroup, known again after the supervisor was killed by
// its pid file {pid, start time}. Children do not die with their parent. Threads: the supervisor's only.
#pragma once
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/instance.h"
#include "base/result.h"

namespace weft::standalone {

struct ProcessSpec {
    std::string name;                 // "agent"; unique together with node
    std::string node;                 // "" = runs in the machine's own namespace
    std::vector<std::string> arguments;  // argv; argv[0] is the binary's path
    std::string cgroup;               // relative to the cgroup2 mount
    std::string health_socket;        // empty = ready as soon as it runs
};

class Process {
public:
    // A running process of this spec from an earlier supervisor; not_found if there is none.
    static Result<Process> adopt(const Instance& instance, const ProcessSpec& spec);
    static Result<Process> start(const Instance& instance, const ProcessSpec& spec, const std::string& cgroup2);

    int pid() const { return pid_; }
    int pidfd() const { return pidfd_.get(); }  // readable when it has ended
    // After the end: a short text ("exit status 1", "killed by signal 9"); reaps a child of ours.
    std::string wait_for_end();
    void signal(int number) const;

private:
    Process(int pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

    int pid_ = 0;
    Fd pidfd_;
};

std::string pid_file(const Instance& instance, const ProcessSpec& spec);
std::string log_file(const Instance& instance, const ProcessSpec& spec);

// The start time of a process in clock ticks since boot (pids recur, this pair does not); 0 when there is none.
uint64_t start_time_of(int pid);
// Reads "pid starttime"; the pid if that very process still lives, else 0.
int living_pid(const std::string& path);
Status write_pid_file(const std::string& path, int pid);

}  // namespace weft::standalone
