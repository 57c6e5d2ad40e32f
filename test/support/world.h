// World: a whole weft of a test's own: `weft up` under an instance name made from the process id, kubectl with its
// kubeconfig, programs in its namespaces and pods; `down --purge` at the end, also after a failure or a kill, with nothing left over.
//
//   World world;  ASSERT_TRUE(world.up());  EXPECT_EQ(world.kubectl("get ns default -o name").text, "namespace/default\n");
//
// Needs: WEFT_BIN (folder of weft and weft-cni), a real kubectl on the PATH or in WEFT_KUBECTL (test/support/kubectl).
// Threads: run() may be called from several.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/instance.h"
#include "base/json.h"
#include "base/result.h"

namespace weft::test {

struct Output {
    int status = 0;
    std::string text;  // stdout and stderr

    bool ok() const { return status == 0; }
};

// /bin/sh -c COMMAND with a time limit; the output and the exit status.
Output run(const std::string& command, int timeout_s = 60);

// Waits until `holds` gives "" (fine); afterwards the last complaint. Prints how long it took when slow.
std::string eventually(int timeout_s, const std::function<std::string()>& holds);

class World {
public:
    // The name's first letter tells the scenario; "t" + process id in base 36 keeps two runs apart.
    World();
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    const Instance& instance() const { return instance_; }

    // `weft up` with these arguments; "" or its whole output on failure. Applies and proves `examples` if given.
    std::string up(const std::string& arguments = "", bool prove = true, const std::string& verb = "up");
    std::string down(bool purge = true);

    Output weft(const std::string& arguments, int timeout_s = 60) const;
    Output kubectl(const std::string& arguments, int timeout_s = 60) const;
    Output apply(const std::string& yaml, const std::string& arguments = "") const;  // kubectl apply -f -
    Output from(const std::string& place, const std::string& command, int timeout_s = 30) const;  // weft exec PLACE -- sh -c
    Output in_pod(const std::string& ns, const std::string& pod, const std::string& command, int timeout_s = 30) const;
    json::Value get(const std::string& what, const std::string& ns = "default") const;  // kubectl get ... -o json; null on error
    std::string field(const std::string& what, const std::string& jsonpath, const std::string& ns = "default") const;

    // The pid of one of ours by its pid file, 0 if it does not run.
    int pid_of(const std::string& process, const std::string& node = "node-1") const;
    std::string log_tails() const;

private:
    Instance instance_;
    bool is_up_ = false;
};

std::string root();  // of the repository

}  // namespace weft::test
