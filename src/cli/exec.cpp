// weft exec: a program in a place of the instance (internet, fabric, a node), else in a pod.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cli/place.h"
#include "cli/pod_exec.h"
#include "cli/verbs.h"

namespace weft::cli {

static void print_output(bool is_stderr, std::string_view bytes) {
    const int fd = is_stderr ? 2 : 1;
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n <= 0) return;
        bytes.remove_prefix(size_t(n));
    }
}

int exec(const Common& common, const std::string& where, const std::string& container, const std::vector<std::string>& argv) {
    if (argv.empty()) return report({Code::invalid, "exec: what to run? weft exec " + where + " -- COMMAND"});
    std::string places;
    if (const auto instance = find_instance(common)) {
        const auto netns = place_netns(*instance, where);
        if (netns) return report(exec_in(*instance, *netns, argv));
        places = "; " + netns.error().message;
    }
    const auto endpoint = find_endpoint(common);
    if (!endpoint) return report(endpoint.error());
    const bool pipe = isatty(0) == 0;
    const auto code = pod_exec(*endpoint, {common.ns, where, container, argv, pipe ? 0 : -1}, print_output);
    // The thread that reads our stdin may still be at it: leave at once.
    std::fflush(nullptr);
    if (code) _exit(*code);
    Error error = code.error();
    if (error.code == Code::not_found)
        error.message += fmt::format("{}; pods of {}: weft get pods -n {}", places, common.ns, common.ns);
    _exit(report(error));
}

}  // namespace weft::cli
