// Cells of Pod, Node, Deployment, ReplicaSet and StatefulSet. A pod's Status is the most telling word of its
// containers' states.
#include "apiserver/table_builtin.h"
#include "kube/object.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

const json::Array& array_of(const json::Value& value, json::Path path) {
    static const json::Array none;
    const json::Array* found = json::find_array(value, path);
    return found == nullptr ? none : *found;
}

const json::Value* condition_of(const json::Value& object, Text type) {
    for (const json::Value& condition : array_of(object, {"status", "conditions"})) {
        if (json::find_string(condition, {"type"}) == type) return &condition;
    }
    return nullptr;
}

std::string terminated_word(const json::Value& terminated) {
    if (const Text reason = json::find_string(terminated, {"reason"}); !reason.empty()) return std::string(reason);
    const int64_t signal = json::find_int(terminated, {"signal"});
    if (signal != 0) return fmt::format("Signal:{}", signal);
    return fmt::format("ExitCode:{}", json::find_int(terminated, {"exitCode"}));
}

struct PodView {
    const json::Value& pod;
    std::string word;
    int64_t ready = 0;
    int64_t total = 0;
    int64_t restarts = 0;
    std::string last_restart;

    explicit PodView(const json::Value& object) : pod(object) {
        total = int64_t(array_of(pod, {"spec", "containers"}).size());
        word = json::find_string(pod, {"status", "phase"});
        if (const Text reason = json::find_string(pod, {"status", "reason"}); !reason.empty()) word = reason;
        const bool is_initializing = read_init_containers();
        if (!is_initializing) read_containers();
        const Text phase = json::find_string(pod, {"status", "phase"});
        if (json::has(pod, {"metadata", "deletionTimestamp"}) && phase != "Succeeded" && phase != "Failed") {
            word = json::find_string(pod, {"status", "reason"}) == "NodeLost" ? "Unknown" : "Terminating";
        }
    }

private:
    void count(const json::Value& status) {
        restarts += json::find_int(status, {"restartCount"});
        const Text ended = json::find_string(status, {"lastState", "terminated", "finishedAt"});
        if (ended > Text(last_restart)) last_restart = ended;
    }

    bool read_init_containers() {
        const json::Array& statuses = array_of(pod, {"status", "initContainerStatuses"});
        const size_t wanted = array_of(pod, {"spec", "initContainers"}).size();
        for (size_t index = 0; index < statuses.size(); index++) {
            const json::Value& status = statuses[index];
            count(status);
            const json::Value* terminated = json::find(status, {"state", "terminated"});
            if (terminated != nullptr && json::find_int(*terminated, {"exitCode"}) == 0) continue;
            if (json::find_bool(status, {"started"})) continue;  // a side-car that runs
            const Text waiting = json::find_string(status, {"state", "waiting", "reason"});
            if (terminated != nullptr) {
                word = "Init:" + terminated_word(*terminated);
            } else if (!waiting.empty() && waiting != "PodInitializing") {
                word = "Init:" + std::string(waiting);
            } else {
                word = fmt::format("Init:{}/{}", index, wanted);
            }
            return true;
        }
        return false;
    }

    void read_containers() {
        bool has_running = false;
        const json::Array& statuses = array_of(pod, {"status", "containerStatuses"});
        for (size_t index = statuses.size(); index-- > 0;) {
            const json::Value& status = statuses[index];
            count(status);
            const Text waiting = json::find_string(status, {"state", "waiting", "reason"});
            const json::Value* terminated = json::find(status, {"state", "terminated"});
            if (!waiting.empty()) {
                word = waiting;
            } else if (terminated != nullptr) {
                word = terminated_word(*terminated);
            } else if (json::find_bool(status, {"ready"}) && json::has(status, {"state", "running"})) {
                has_running = true;
                ready++;
            }
        }
        if (word == "Completed" && has_running) {
            const json::Value* condition = condition_of(pod, "Ready");
            word = condition != nullptr && json::find_string(*condition, {"status"}) == "True" ? "Running" : "NotReady";
        }
    }
};

std::string containers_text(const json::Value& object, Text field) {
    std::string out;
    for (const json::Value& container : array_of(object, {"spec", "template", "spec", "containers"})) {
        out += (out.empty() ? "" : ",") + std::string(json::find_string(container, {field}));
    }
    return out;
}

void add_template_cells(json::Array& cells, const json::Value& object) {
    cells.push_back(json::Value(containers_text(object, "name")));
    cells.push_back(json::Value(containers_text(object, "image")));
    cells.push_back(json::Value(selector_text(json::find(object, {"spec", "selector"}))));
}

std::string node_address(const json::Value& node, Text type) {
    for (const json::Value& address : array_of(node, {"status", "addresses"})) {
        if (json::find_string(address, {"type"}) == type) return std::string(json::find_string(address, {"address"}));
    }
    return "<none>";
}

std::string node_roles(const json::Value& node) {
    static constexpr Text prefix = "node-role.kubernetes.io/";
    std::string out;
    const json::Object* labels = json::find_object(node, {"metadata", "labels"});
    if (labels == nullptr) return "<none>";
    for (const auto& [name, value] : *labels) {
        if (Text(name).starts_with(prefix))
            out += (out.empty() ? "" : ",") + std::string(Text(name).substr(prefix.size()));
    }
    return or_none(std::move(out));
}

}  // namespace

json::Array pod_cells(const json::Value& object, WallTime now) {
    const PodView view(object);
    std::string restarts = std::to_string(view.restarts);
    if (view.restarts > 0 && !view.last_restart.empty())
        restarts += fmt::format(" ({} ago)", age(view.last_restart, now));
    std::string address(json::find_string(object, {"status", "podIP"}));
    const json::Array& addresses = array_of(object, {"status", "podIPs"});
    if (address.empty() && !addresses.empty()) address = json::find_string(addresses[0], {"ip"});
    std::string gates = "<none>";
    if (const json::Array& wanted = array_of(object, {"spec", "readinessGates"}); !wanted.empty()) {
        int64_t passed = 0;
        for (const json::Value& gate : wanted) {
            const json::Value* condition = condition_of(object, json::find_string(gate, {"conditionType"}));
            passed += condition != nullptr && json::find_string(*condition, {"status"}) == "True";
        }
        gates = fmt::format("{}/{}", passed, wanted.size());
    }
    return {name_cell(object),
            json::Value(fmt::format("{}/{}", view.ready, view.total)),
            json::Value(view.word),
            json::Value(restarts),
            age_cell(object, now),
            json::Value(or_none(std::move(address))),
            json::Value(or_none(std::string(json::find_string(object, {"spec", "nodeName"})))),
            json::Value(or_none(std::string(json::find_string(object, {"status", "nominatedNodeName"})))),
            json::Value(gates)};
}

json::Array node_cells(const json::Value& object, WallTime now) {
    const json::Value* ready = condition_of(object, "Ready");
    std::string status = ready == nullptr                                  ? "Unknown"
                         : json::find_string(*ready, {"status"}) == "True" ? "Ready"
                                                                           : "NotReady";
    if (json::find_bool(object, {"spec", "unschedulable"})) status += ",SchedulingDisabled";
    const auto info = [&](Text field) {
        return json::Value(or_none(std::string(json::find_string(object, {"status", "nodeInfo", field})), "<unknown>"));
    };
    return {name_cell(object),
            json::Value(status),
            json::Value(node_roles(object)),
            age_cell(object, now),
            json::Value(json::find_string(object, {"status", "nodeInfo", "kubeletVersion"})),
            json::Value(node_address(object, "InternalIP")),
            json::Value(node_address(object, "ExternalIP")),
            info("osImage"),
            info("kernelVersion"),
            info("containerRuntimeVersion")};
}

json::Array deployment_cells(const json::Value& object, WallTime now) {
    const auto count = [&](Text field) { return json::find_int(object, {"status", field}); };
    json::Array cells{
        name_cell(object),
        json::Value(fmt::format("{}/{}", count("readyReplicas"), json::find_int(object, {"spec", "replicas"}))),
        count("updatedReplicas"), count("availableReplicas"), age_cell(object, now)};
    add_template_cells(cells, object);
    return cells;
}

json::Array replica_set_cells(const json::Value& object, WallTime now) {
    json::Array cells{name_cell(object), json::find_int(object, {"spec", "replicas"}),
                      json::find_int(object, {"status", "replicas"}),
                      json::find_int(object, {"status", "readyReplicas"}), age_cell(object, now)};
    add_template_cells(cells, object);
    return cells;
}

json::Array stateful_set_cells(const json::Value& object, WallTime now) {
    const int64_t ready = json::find_int(object, {"status", "readyReplicas"});
    return {name_cell(object), json::Value(fmt::format("{}/{}", ready, json::find_int(object, {"spec", "replicas"}))),
            age_cell(object, now), json::Value(containers_text(object, "name")),
            json::Value(containers_text(object, "image"))};
}

}  // namespace weft::apiserver
