#include "support/traffic.h"

#include "base/strings.h"

namespace weft::test {

PodPlace place_of(const World& world, const std::string& ns, const std::string& pod) {
    return {world.field("pod " + pod, "{.metadata.uid}", ns), world.field("pod " + pod, "{.spec.nodeName}", ns),
            world.field("pod " + pod, "{.status.podIP}", ns)};
}

static std::string cgroup2() {
    static const std::string mount(
        trim(run("grep ' - cgroup2 ' /proc/self/mountinfo | head -1 | cut -d' ' -f5").text));
    return mount;
}

std::string in_place(const World& world, const PodPlace& place, const std::string& command) {
    return "sh -c 'echo $$ > " + cgroup2() + "/" + world.instance().pods_cgroup(place.node) + "/" + place.uid +
           "/cgroup.procs; exec nsenter --net=" + Instance::netns_path(world.instance().pod_netns(place.uid)) + " " + command +
           "'";
}

std::string on_street(const World& world, const std::string& command) {
    return "nsenter --net=" + Instance::netns_path(world.instance().internet_netns()) + " " + command;
}

std::string traffic_py(const std::string& arguments) { return "python3 " + root() + "/test/support/traffic.py " + arguments; }

std::string crowd(const std::string& arguments) { return std::string(WEFT_BIN) + "/crowd " + arguments; }

void Traffic::start(const std::string& name, const std::string& command, int timeout_s) {
    Stream& stream = streams_.emplace_back();
    stream.name = name;
    stream.thread = std::thread([&stream, command, timeout_s] { stream.output = run(command, timeout_s); });
}

std::vector<Traffic::Result> Traffic::wait() {
    std::vector<Result> results;
    for (Stream& stream : streams_) {
        stream.thread.join();
        const std::string text(trim(stream.output.text));
        const auto counts = json::parse(text);
        results.push_back({stream.name, text, stream.output.ok() && counts ? *counts : json::Value(nullptr)});
    }
    streams_.clear();
    return results;
}

}  // namespace weft::test
