// Traffic: programs that talk for a while and count every loss (traffic.py, crowd.cpp), inside pods and on the street. They enter
// their namespace and cgroup by themselves, not through the API server or the runtime, which a test may kill meanwhile.
#pragma once
#include <list>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "support/world.h"

namespace weft::test {

// A pod as it is found once, before its API server may be gone.
struct PodPlace {
    std::string uid, node, address;
};
PodPlace place_of(const World& world, const std::string& ns, const std::string& pod);
// The command, run in that pod's network namespace and cgroup; on the street.
std::string in_place(const World& world, const PodPlace& place, const std::string& command);
std::string on_street(const World& world, const std::string& command);

class Traffic {
public:
    ~Traffic() { (void)wait(); }

    // `command` is in_place() or on_street() of the arguments of traffic.py or crowd.
    void start(const std::string& name, const std::string& command, int timeout_s);
    struct Result {
        std::string name, text;
        json::Value counts;  // null: it did not end as it should
    };
    std::vector<Result> wait();

private:
    struct Stream {
        std::string name;
        Output output;
        std::thread thread;
    };
    std::list<Stream> streams_;
};

std::string traffic_py(const std::string& arguments);
std::string crowd(const std::string& arguments);

}  // namespace weft::test
