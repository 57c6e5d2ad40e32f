// Pod exec: `exec` of a pod over WebSocket (v5.channel.k8s.io), as kubectl ≥ 1.31 speaks it. Works against any API server.
// First byte of a message: 0 stdin, 1 stdout, 2 stderr, 3 the closing Status, 4 resize, 255 close (v5). Source: API-140, API-141.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kube/client.h"

namespace weft::cli {

struct PodExec {
    std::string ns, pod, container;
    std::vector<std::string> argv;
    int stdin_fd = -1;  // -1: none
};

// Output goes to `on_output(is_stderr, bytes)` as it comes; returns the program's exit code.
Result<int> pod_exec(const kube::Endpoint& endpoint, const PodExec& what,
                     const std::function<void(bool is_stderr, std::string_view bytes)>& on_output);

}  // namespace weft::cli
