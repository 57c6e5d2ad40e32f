#include "cli/prove.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "base/fd.h"
#include "cli/place.h"
#include "cli/pod_exec.h"
#include "cli/progress.h"
#include "kube/apply.h"

namespace weft::cli {

static constexpr Duration objects_deadline = std::chrono::seconds(30);
static constexpr Duration request_deadline = std::chrono::seconds(10);
static constexpr std::string_view outside_client = "198.51.100.7";

static Status apply_file(const Stage& stage, const std::string& path, std::string_view ns) {
    const std::string yaml = TRY(read_file(path));
    return kube::apply_yaml(stage.client, stage.kinds, yaml, ns, [](const kube::Object&, kube::Applied) {});
}

static Status apply_folder(const Stage& stage, const std::string& folder, std::string_view ns) {
    std::vector<std::string> files;
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        if (at->path().extension() == ".yaml") files.push_back(at->path());
    if (files.empty()) return fail(Code::not_found, "no manifests in " + folder);
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) TRY_IN(file, apply_file(stage, file, ns));
    return {};
}

static Status all_have(const Stage& stage, const kube::Resource& resource, std::string_view condition) {
    const kube::ObjectList list = TRY(stage.client.list(resource));
    if (list.items.empty()) return fail(Code::not_found, fmt::format("no {} yet", resource.plural));
    for (const kube::Object& object : list.items) {
        if (kube::condition_is(object, condition, "True")) continue;
        const json::Value* found = kube::find_condition(object, condition);
        return fail(Code::unavailable, fmt::format("{} {} is not {}: {}", resource.kind, object.key().text(), condition,
                                                   found == nullptr ? "no such condition yet"
                                                                    : json::find_string(*found, {"message"})));
    }
    return {};
}

static Status pods_ready(const Stage& stage, const std::string& ns) {
    const kube::ObjectList deployments = TRY(stage.client.list(kube::deployments, {.ns = ns}));
    for (const kube::Object& deployment : deployments.items)
        if (deployment.integer({"status", "readyReplicas"}) < deployment.integer({"spec", "replicas"}, 1))
            return fail(Code::unavailable, fmt::format("deployment {}: {} of {} ready", deployment.key().text(),
                                                       deployment.integer({"status", "readyReplicas"}),
                                                       deployment.integer({"spec", "replicas"}, 1)));
    const kube::ObjectList pods = TRY(stage.client.list(kube::pods, {.ns = ns}));
    if (pods.items.empty()) return fail(Code::unavailable, "no pods in " + ns + " yet");
    for (const kube::Object& pod : pods.items)
        if (!kube::condition_is(pod, "Ready", "True"))
            return fail(Code::unavailable, fmt::format("pod {} is {}", pod.key().text(), pod.string({"status", "phase"}, "Pending")));
    return {};
}

static std::string first_ingress_ip(const kube::Object& object) {
    const json::Array& list = object.array({"status", "loadBalancer", "ingress"});
    return list.empty() ? "" : std::string(json::find_string(list[0], {"ip"}));
}

static Result<std::string> public_address(const Stage& stage, const kube::Resource& resource, const std::string& ns) {
    for (const kube::Object& object : TRY(stage.client.list(resource, {.ns = ns})).items) {
        if (resource == kube::services && object.string({"spec", "type"}) != "LoadBalancer") continue;
        const std::string address = first_ingress_ip(object);
        if (!address.empty()) return address;
        return fail(Code::unavailable, fmt::format("{} {} has no address yet", resource.kind, object.key().text()));
    }
    return fail(Code::not_found, fmt::format("no {} in {}", resource.kind, ns));
}

// The answer of echo:demo came from a pod of this namespace.
static Status answered_by(const Stage& stage, const std::string& answer, const std::string& ns, const json::Object& wanted) {
    const auto body = json::parse(answer);
    if (!body) return fail(Code::unavailable, "not the answer of echo:demo: " + answer.substr(0, 200));
    const std::string pod(json::find_string(*body, {"pod"}));
    if (!stage.client.get(kube::pods, {ns, pod})) return fail(Code::invalid, "answered by \"" + pod + "\", which is no pod of " + ns);
    for (const auto& [name, value] : wanted) {
        std::string got(json::find_string(*body, {std::string_view(name)}));
        if (name == "peer") got = got.substr(0, got.rfind(':') == std::string::npos ? got.size() : got.rfind(':'));
        if (got != json::view(value.get_string()))
            return fail(Code::invalid, fmt::format("{} is \"{}\", not \"{}\"", std::string_view(name), got, json::view(value.get_string())));
    }
    return {};
}

static Result<std::string> curl_from_internet(const Stage& stage, const std::vector<std::string>& arguments) {
    std::vector<std::string> argv{"curl", "-sS", "--max-time", "3"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const Output output = TRY(run_in(stage.instance, stage.instance.internet_netns(), argv, 5));
    if (output.status != 0) return fail(Code::unavailable, output.text);
    return output.text;
}

static Result<std::string> in_client_pod(const Stage& stage, const std::string& ns, const std::vector<std::string>& argv) {
    std::string text;
    const int code = TRY(pod_exec(stage.endpoint, {.ns = ns, .pod = "client", .container = "", .argv = argv},
                                  [&](bool, std::string_view bytes) { text += bytes; }));
    if (code != 0) return fail(Code::unavailable, fmt::format("exit {}: {}", code, text));
    return text;
}

static Status prove_namespace(const Stage& stage, const std::string& ns, Proven& proven) {
    const auto name = [&](std::string_view what) { return fmt::format("{} ({})", what, ns); };
    TRY(step(name("pods of examples/hello are ready"),
             [&] { return wait_until(objects_deadline, [&] { return pods_ready(stage, ns); }); }));
    TRY(step(name("public addresses given"), [&] {
        return wait_until(objects_deadline, [&]() -> Status {
            proven.public_address = TRY(public_address(stage, kube::services, ns));
            proven.ingress_address = TRY(public_address(stage, kube::ingresses, ns));
            return {};
        });
    }));
    TRY(step(name("pod to Service by name: DNS, ClusterIP"), [&] {
        return wait_until(request_deadline, [&]() -> Status {
            const std::string answer =
                TRY(in_client_pod(stage, ns, {"curl", "-sS", "--max-time", "3", "http://web.default.svc.cluster.local/hello"}));
            return answered_by(stage, answer, ns, {{"path", "/hello"}});
        });
    }));
    TRY(step(name("Internet to LoadBalancer, client address kept"), [&] {
        return wait_until(request_deadline, [&]() -> Status {
            const std::string answer = TRY(curl_from_internet(stage, {"http://" + proven.public_address + "/"}));
            return answered_by(stage, answer, ns, {{"peer", outside_client}});
        });
    }));
    return step(name("Internet to Ingress by host and path"), [&] {
        return wait_until(request_deadline, [&]() -> Status {
            const std::string answer = TRY(curl_from_internet(
                stage, {"-H", "Host: shop.example.test", "http://" + proven.ingress_address + "/cart"}));
            return answered_by(stage, answer, ns, {{"path", "/cart"}});
        });
    });
}

// Nothing but what is exposed: pod addresses and ClusterIPs do not answer the Internet, even with a route to them.
static Status prove_closed(const Stage& stage) {
    for (const kube::Object& pod : TRY(stage.client.list(kube::pods, {.ns = "default"})).items) {
        const std::string address(pod.string({"status", "podIP"}));
        if (address.empty()) continue;
        const Output output = TRY(run_in(stage.instance, stage.instance.internet_netns(),
                                         {"curl", "-sS", "--max-time", "1", "http://" + address + ":8080/"}, 3));
        if (output.status == 0) return fail(Code::invalid, "the Internet reaches pod " + address);
        return {};
    }
    return fail(Code::not_found, "no pod with an address");
}

Result<Proven> prove(const Stage& stage) {
    TRY(step("examples/world.yaml applied", [&] { return apply_file(stage, stage.examples + "/world.yaml", ""); }));
    TRY(step("VPCs and vSwitches ready", [&] {
        return wait_until(objects_deadline, [&]() -> Status {
            TRY(all_have(stage, kube::vpcs, "Ready"));
            return all_have(stage, kube::vswitches, "Ready");
        });
    }));
    TRY(step("examples/hello applied in both VPCs", [&]() -> Status {
        TRY(apply_folder(stage, stage.examples + "/hello", "default"));
        return apply_folder(stage, stage.examples + "/hello", "blue");
    }));
    Proven blue;
    Proven proven;
    TRY(prove_namespace(stage, "default", proven));
    TRY(prove_namespace(stage, "blue", blue));
    TRY(step("Internet does not reach pods", [&] { return prove_closed(stage); }));
    return proven;
}

}  // namespace weft::cli
