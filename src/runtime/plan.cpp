#include "runtime/plan.h"

#include "base/strings.h"

namespace weft::runtime {

using protocol::runtime::Launch;

std::string pod_hostname(const kube::Object& pod) {
    std::string name(pod.string({"spec", "hostname"}, pod.name()));
    if (name.size() > 63) name.resize(63);
    while (name.ends_with('-') || name.ends_with('.')) name.pop_back();
    return name;
}

int64_t pod_fs_group(const kube::Object& pod) {
    return pod.integer({"spec", "securityContext", "fsGroup"}, -1);
}

std::string expand_variables(std::string_view text, const Variables& variables) {
    std::string out;
    for (size_t at = 0; at < text.size(); at++) {
        if (text[at] != '$' || at + 1 == text.size()) {
            out += text[at];
        } else if (text[at + 1] == '$') {
            out += '$';
            at++;
        } else if (const size_t end = text[at + 1] == '(' ? text.find(')', at) : std::string_view::npos;
                   end != std::string_view::npos) {
            const auto found = variables.find(std::string(text.substr(at + 2, end - at - 2)));
            out += found == variables.end() ? std::string(text.substr(at, end - at + 1)) : found->second;
            at = end;
        } else {
            out += '$';
        }
    }
    return out;
}

namespace {

// Order matters for the program's environ and for $(VAR), which sees only what stands before it.
class Environment {
public:
    void set(const std::string& name, std::string value) {
        if (values_.insert_or_assign(name, std::move(value)).second) order_.push_back(name);
    }

    const Variables& values() const { return values_; }

    std::vector<std::string> lines() const {
        std::vector<std::string> lines;
        for (const std::string& name : order_) lines.push_back(name + "=" + values_.at(name));
        return lines;
    }

private:
    Variables values_;
    std::vector<std::string> order_;
};

Result<std::optional<std::string>> value_from(const PlanInputs& inputs, const json::Value& source) {
    if (const json::Value* ref = json::find(source, {"configMapKeyRef"}))
        return key_reference(*ref, false, inputs.references);
    if (const json::Value* ref = json::find(source, {"secretKeyRef"}))
        return key_reference(*ref, true, inputs.references);
    if (const json::Value* ref = json::find(source, {"fieldRef"}))
        return TRY(field_reference(inputs.pod, json::find_string(*ref, {"fieldPath"}), inputs.references));
    return fail(Code::invalid, "valueFrom: only configMapKeyRef, secretKeyRef and fieldRef are offered");
}

Status add_all_of(const PlanInputs& inputs, const json::Value& source, Environment& environment) {
    const bool from_secret = json::has(source, {"secretRef"});
    const std::string_view field = from_secret ? "secretRef" : "configMapRef";
    const std::string_view name = json::find_string(source, {field, "name"});
    const kube::ObjectPtr object = from_secret ? inputs.references.secret(name) : inputs.references.config_map(name);
    if (!object) {
        if (json::find_bool(source, {field, "optional"})) return {};
        return fail(Code::not_found, fmt::format("{} \"{}\" not found", from_secret ? "secret" : "configmap", name));
    }
    const std::string prefix(json::find_string(source, {"prefix"}));
    for (auto& [key, value] : TRY(entries_of(*object))) environment.set(prefix + key, value);
    return {};
}

Result<Environment> environment_of(const PlanInputs& inputs) {
    Environment environment;
    environment.set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    environment.set("HOSTNAME", pod_hostname(inputs.pod));
    environment.set("HOME", "/root");
    for (const auto& [name, value] : inputs.image.environment) environment.set(name, value);
    if (!inputs.api_host.empty()) {
        environment.set("KUBERNETES_SERVICE_HOST", inputs.api_host);
        environment.set("KUBERNETES_SERVICE_PORT", "443");
        environment.set("KUBERNETES_SERVICE_PORT_HTTPS", "443");
    }
    for (const auto& [name, value] : inputs.service_links) environment.set(name, value);
    if (const json::Array* sources = json::find_array(inputs.container, {"envFrom"}))
        for (const json::Value& source : *sources) TRY(add_all_of(inputs, source, environment));
    const json::Array* variables = json::find_array(inputs.container, {"env"});
    if (variables == nullptr) return environment;
    for (const json::Value& variable : *variables) {
        const std::string name(json::find_string(variable, {"name"}));
        if (const json::Value* source = json::find(variable, {"valueFrom"})) {
            std::optional<std::string> value = TRY_IN("env " + name, value_from(inputs, *source));
            if (value) environment.set(name, std::move(*value));
        } else {
            environment.set(name, expand_variables(json::find_string(variable, {"value"}), environment.values()));
        }
    }
    return environment;
}

Status refuse_what_is_not_offered(const PlanInputs& inputs) {
    // It would hold up the pod for ever: a container that is not to end, waited for as one that is.
    if (json::has(inputs.container, {"restartPolicy"}))
        return fail(Code::invalid, "initContainers.restartPolicy: process pods have no sidecar containers");
    for (const std::string_view field : {"hostNetwork", "hostPID", "hostIPC"})
        if (inputs.pod.boolean({"spec", field}))
            return fail(Code::invalid, fmt::format("spec.{}: process pods do not share the host's namespaces", field));
    return {};
}

}  // namespace

Result<Launch> plan_container(const PlanInputs& inputs) {
    TRY(refuse_what_is_not_offered(inputs));
    const Environment environment = TRY(environment_of(inputs));
    Launch plan;
    plan.container = json::find_string(inputs.container, {"name"});
    plan.environment = environment.lines();
    plan.root = inputs.image.root;
    plan.hostname = pod_hostname(inputs.pod);
    plan.mounts = TRY(plan_mounts(inputs.pod, inputs.container, environment.values(), inputs.volume_folder));
    plan.working_dir = json::find_string(inputs.container, {"workingDir"}, inputs.image.working_dir);
    // command replaces the image's whole command line; args replaces its arguments only.
    std::vector<std::string> command = json::find_strings(inputs.container, {"command"});
    std::vector<std::string> args = json::find_strings(inputs.container, {"args"});
    if (args.empty() && command.empty()) args = inputs.image.args;
    if (command.empty()) command = inputs.image.command;
    for (const std::string& word : command) plan.argv.push_back(expand_variables(word, environment.values()));
    for (const std::string& word : args) plan.argv.push_back(expand_variables(word, environment.values()));
    const json::Value none;
    const json::Value* pod_security = inputs.pod.find({"spec", "securityContext"});
    const json::Value* security = json::find(inputs.container, {"securityContext"});
    const json::Value& outer = pod_security == nullptr ? none : *pod_security;
    const json::Value& inner = security == nullptr ? none : *security;
    plan.uid = json::find_int(inner, {"runAsUser"}, json::find_int(outer, {"runAsUser"}, -1));
    plan.gid = json::find_int(inner, {"runAsGroup"}, json::find_int(outer, {"runAsGroup"}, -1));
    if (const int64_t group = pod_fs_group(inputs.pod); group >= 0) plan.groups.push_back(group);
    if (const json::Array* groups = json::find_array(outer, {"supplementalGroups"}))
        for (const json::Value& group : *groups)
            if (group.is_int64()) plan.groups.push_back(group.get_int64());
    return plan;
}

}  // namespace weft::runtime
