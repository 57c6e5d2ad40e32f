// weft runtime: one per node. It registers the Node, runs the pods bound to it as processes in namespaces of their own,
// and answers for their logs and exec on the node's runtime.sock.
//
//   brain: pod.cpp (one pod's life) --> hands: sandbox.cpp (netns, weft-cni), probe.cpp
//                                   --> weft shim, one per pod: owns processes, logs, exit codes
//
// Killed at any moment, it disturbs no pod: the next one finds each pod's record in node_run_dir/pods/<uid>, connects
// to its shim and reads what happened meanwhile. A killed shim takes its pod's processes with it; they are started
// again under the pod's restart policy. Source: design.md §2, §3; spec/kubernetes.md §8.3, §11.
#pragma once
#include <stop_token>
#include <string>

#include "base/instance.h"
#include "base/result.h"
#include "kube/client.h"
#include "runtime/account.h"

namespace weft::runtime {

struct Options {
    Instance instance;
    std::string node;
    std::string zone;         // comma list; the first is the node's topology zone
    std::string cni_binary;   // weft-cni
    std::string self_binary;  // weft, to run `weft shim` and `weft echo`
    kube::Endpoint api;
};

// Until stopped. Called in the node's network namespace, as root.
Status run(const Options& options, std::stop_token stop);
// The same over a given client, for tests. Without `request_token` pods get no tokens.
Status run_with(kube::Client& client, const Options& options, std::stop_token stop,
                const RequestToken& request_token = {});

// `weft shim --dir DIR`: runs the processes of one pod. `weft shim --exec`: enters a container (exec.cpp).
int shim_main(int argc, char** argv);
// `weft echo [--http=P]... [--tcp=P[-P]]...`: the image echo:demo.
int echo_main(int argc, char** argv);

}  // namespace weft::runtime
