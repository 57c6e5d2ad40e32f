#include "support/objects.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "base/fd.h"
#include "base/strings.h"
#include "net/address.h"

namespace weft::test {

std::string apply_example(const World& world, const std::string& number) {
    const Output output = world.kubectl("apply -f $(ls " + root() + "/examples/acs/" + number + "-*.yaml)");
    return output.ok() ? "" : output.text;
}

std::string text_at(const json::Value& object, json::Path path) { return std::string(json::find_string(object, path)); }

std::string annotation(const json::Value& object, std::string_view name) {
    return text_at(object, {"metadata", "annotations", name});
}

std::string running(const World& world, const std::string& ns, const std::vector<std::string>& pods) {
    return eventually(soon_s, [&]() -> std::string {
        for (const std::string& pod : pods) {
            const json::Value object = world.get("pod " + pod, ns);
            if (text_at(object, {"status", "phase"}) != "Running" || text_at(object, {"status", "podIP"}).empty())
                return ns + "/" + pod + ": " + text_at(object, {"status", "phase"});
        }
        return "";
    });
}

std::string until_list(const World& world, const std::string& what, const std::string& ns,
                       const std::function<std::string(const json::Array&)>& holds) {
    return eventually(soon_s, [&]() -> std::string {
        const json::Value list = world.get(what, ns);
        const json::Array* const items = json::find_array(list, {"items"});
        return items == nullptr ? what + ": no answer" : holds(*items);
    });
}

std::string until_event(const World& world, const std::string& ns, const std::string& name, const std::string& type,
                        const std::string& reason, const std::string& text) {
    return until_list(world, "events --field-selector involvedObject.name=" + name, ns, [&](const json::Array& events) {
        std::string seen;
        for (const json::Value& event : events) {
            const std::string message = text_at(event, {"message"});
            if (text_at(event, {"reason"}) == reason && text_at(event, {"type"}) == type &&
                message.find(text) != std::string::npos)
                return std::string();
            seen += text_at(event, {"type"}) + " " + text_at(event, {"reason"}) + ": " + message + "\n";
        }
        return "no event " + type + " " + reason + " with \"" + text + "\" on " + name + "; there are:\n" + seen;
    });
}

bool is_in(const std::string& address, std::string_view cidr) {
    const auto parsed = net::Address::parse(address);
    return parsed && MUST(net::Prefix::parse(cidr)).contains(*parsed);
}

Recording::Recording(const World& world, const std::string& what, const std::string& ns, const std::string& jsonpath) {
    static std::atomic<int> number{0};
    file_ = fmt::format("/tmp/weft-{}-recording-{}", world.instance().name(), ++number);
    // Ended by its pid, or by the time if nobody is left to do so.
    const Output started =
        run(fmt::format("HOME={} timeout 1200 {} --kubeconfig {} -n {} get {} --watch -o jsonpath='{}{{\"\\n\"}}' > {} 2>&1 & echo $!",
                        world.instance().run_dir(), WEFT_KUBECTL, world.instance().kubeconfig(), ns, what, jsonpath, file_));
    pid_ = trim(started.text);
}

Recording::~Recording() {
    if (const auto pid = parse_unsigned(pid_); pid && *pid > 1) (void)::kill(pid_t(*pid), SIGTERM);
    ::unlink(file_.c_str());
}

std::vector<std::string> Recording::lines() const {
    std::vector<std::string> lines;
    const auto text = read_file(file_);
    if (!text) return lines;
    for (const std::string_view line : split(*text, '\n'))
        if (!line.empty()) lines.emplace_back(line);
    return lines;
}

}  // namespace weft::test
