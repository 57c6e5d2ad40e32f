// log and exec: the API server finds the pod and the container, then hands the conversation to the runtime of the pod's
// node over its unix socket: GET /log/<ns>/<pod>/<container>?... or GET /exec/...?... with the client's WebSocket
// headers; from there on bytes pass both ways unread. Source: spec/kubernetes.md API-140..142; docs/design/objects.md.
#include <fmt/format.h>

#include "apiserver/rest.h"
#include "apiserver/splice.h"
#include "apiserver/validate.h"

namespace weft::apiserver {

static constexpr std::string_view default_container_annotation = "kubectl.kubernetes.io/default-container";

static std::vector<std::string> container_names(const kube::Object& pod) {
    std::vector<std::string> names;
    for (const char* list : {"containers", "initContainers", "ephemeralContainers"})
        for (const json::Value& container : pod.array({"spec", list}))
            names.emplace_back(json::find_string(container, {"name"}));
    return names;
}

static Outcome<std::string> choose_container(const kube::Object& pod, std::string_view asked) {
    const auto names = container_names(pod);
    if (asked.empty()) asked = pod.annotation(default_container_annotation);
    if (asked.empty()) {
        const json::Array& containers = pod.array({"spec", "containers"});
        if (containers.size() == 1) return std::string(json::find_string(containers[0], {"name"}));
        return refuse(400, "BadRequest",
                      fmt::format("a container name must be specified for pod {}, choose one of: [{}]", pod.name(),
                                  fmt::join(names, " ")));
    }
    if (std::find(names.begin(), names.end(), asked) == names.end())
        return refuse(400, "BadRequest", fmt::format("container {} is not valid for pod {}", asked, pod.name()));
    return std::string(asked);
}

// "" when the container runs.
static std::string why_not_running(const kube::Object& pod, std::string_view container) {
    for (const char* list : {"containerStatuses", "initContainerStatuses"})
        for (const json::Value& status : pod.array({"status", list})) {
            if (json::find_string(status, {"name"}) != container) continue;
            if (json::has(status, {"state", "running"})) return "";
            const std::string_view reason = json::has(status, {"state", "terminated"})
                                                ? std::string_view("terminated")
                                                : json::find_string(status, {"state", "waiting", "reason"}, "waiting");
            return fmt::format("container \"{}\" in pod \"{}\" is not running: {}", container, pod.name(), reason);
        }
    return fmt::format("container \"{}\" in pod \"{}\" is not running: the pod is {}", container, pod.name(),
                       pod.string({"status", "phase"}, "Pending"));
}

Outcome<Reply> Rest::connect() {
    const bool is_log = target_.subresource == "log";
    if (is_log && call_.query.has("sinceSeconds") && call_.query.has("sinceTime")) {
        Kind options;
        options.kind_name = "PodLogOptions";
        return unprocessable(
            options, target_.key.name,
            {forbidden_field("sinceSeconds", "only one of sinceTime or sinceSeconds may be provided")});
    }
    if (!is_log && call_.query.all("command").empty())
        return refuse(400, "BadRequest", "you must specify at least 1 command");
    const kube::Object pod(TRY(objects_.get(kind_, target_.key)));
    const std::string container = TRY(choose_container(pod, call_.query.get("container")));
    const std::string node(pod.string({"spec", "nodeName"}));
    if (node.empty()) return refuse(400, "BadRequest", fmt::format("pod {} does not have a host assigned", pod.name()));
    if (!check_node_name(node))
        return refuse(400, "BadRequest", fmt::format("pod {} is on a node of another kind", pod.name()));

    SpliceTarget to;
    to.socket = instance_.runtime_socket(node);
    to.target = fmt::format("/{}/{}/{}/{}", is_log ? "log" : "exec", http::percent_encode(target_.key.ns),
                            http::percent_encode(target_.key.name), http::percent_encode(container));
    if (!is_log) to.not_running = why_not_running(pod, container);
    char separator = '?';
    for (const auto& [name, value] : call_.query.items()) {
        if (name == "container" || name == "pretty") continue;
        to.target += fmt::format("{}{}={}", separator, http::percent_encode(name), http::percent_encode(value));
        separator = '&';
    }
    Reply reply;
    if (is_log)
        reply.take = [to, call = call_](http::Request&, http::Exchange& exchange) { relay_log(to, call, exchange); };
    else
        reply.take = [to, call = call_](http::Request& request, http::Exchange& exchange) {
            splice_exec(to, call, request, exchange);
        };
    return reply;
}

}  // namespace weft::apiserver
