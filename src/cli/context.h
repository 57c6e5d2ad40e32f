// Context: which instance or cluster a verb talks to, and as whom.
//
// Order: --kubeconfig, $KUBECONFIG, the instance's own kubeconfig (--instance, $WEFT_INSTANCE, else the only one running).
// Errors name the next command to type. Threads: the verb's.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/instance.h"
#include "kube/client.h"
#include "kube/discovery.h"

namespace weft::cli {

// What is given on the command line, for every verb.
struct Common {
    std::string instance;    // "" = find it
    std::string kubeconfig;  // "" = find it
    std::string ns = "default";
    std::string output;      // "", wide, json, yaml, name
};

// The instances that have a run folder.
std::vector<std::string> running_instances();
Result<Instance> find_instance(const Common& common);

Result<kube::Endpoint> find_endpoint(const Common& common);

// Prints "weft: ..." to stderr and returns the exit code of the error's kind (docs/operate/cli.md).
int report(const Error& error);
int exit_code(Code code);

}  // namespace weft::cli
