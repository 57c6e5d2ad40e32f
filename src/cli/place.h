// Place: running a program inside one of an instance's namespaces: `weft exec internet -- curl ...`.
// The program joins the instance's cgroup, so `weft down` ends it too. Threads: any.
#pragma once
#include <string>
#include <vector>

#include "base/instance.h"
#include "base/result.h"

namespace weft::cli {

// "internet", "fabric" or a node's name → its namespace; not_found names the known ones.
Result<std::string> place_netns(const Instance& instance, std::string_view place);

// Becomes the program; returns only on failure.
Error exec_in(const Instance& instance, const std::string& netns, const std::vector<std::string>& argv);

struct Output {
    int status = 0;  // exit status, 128 + signal
    std::string text;  // stdout and stderr
};
// Runs it, ends it after timeout_s, returns what it printed (at most 1 MiB).
Result<Output> run_in(const Instance& instance, const std::string& netns, const std::vector<std::string>& argv, int timeout_s);

}  // namespace weft::cli
