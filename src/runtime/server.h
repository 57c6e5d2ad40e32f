// PodServer: the node's runtime.sock, where the API server fetches logs and exec.
//   GET /log/<ns>/<pod>/<container>?follow&tailLines&sinceSeconds&sinceTime&timestamps&previous&limitBytes text/plain
//   GET /exec/<ns>/<pod>/<container>?command=..&stdin&stdout&stderr&tty                     WebSocket v5,
//   v4.channel.k8s.io
// Errors are a Kubernetes Status as JSON: 404 unknown pod, 400 unknown container, bad parameter or one that has not
// begun. Threads: the HTTP server's; it sees the pods by their published views.
#pragma once
#include <memory>

#include "base/published.h"
#include "http/server.h"
#include "runtime/pods.h"
#include "runtime/sandbox.h"

namespace weft::runtime {

// Serves once started. The references must outlive it.
Result<std::unique_ptr<http::Server>> pod_server(const Options& options, const SandboxMaker& sandboxes,
                                                 const Published<PodViews>& views);

}  // namespace weft::runtime
