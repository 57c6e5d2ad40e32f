#include "runtime/sandbox.h"

#include <filesystem>

#include "base/json.h"
#include "base/log.h"
#include "kernel/cgroup.h"
#include "kernel/netns.h"
#include "runtime/pod_files.h"
#include "runtime/shim.h"
#include "runtime/spawn.h"

namespace weft::runtime {

namespace fs = std::filesystem;

static constexpr Duration cni_timeout = std::chrono::seconds(60);
static constexpr std::string_view cni_version = "1.0.0";

Result<SandboxMaker> SandboxMaker::create(const Options& options) {
    SandboxMaker maker(options);
    maker.cgroup_mount_ = TRY(kernel::find_cgroup2());
    TRY(kernel::create_cgroup(maker.cgroup_mount_, options.instance.pods_cgroup(options.node)));
    TRY(make_directories(options.instance.node_run_dir(options.node) + "/pods", 0700));
    TRY(make_directories(options.instance.node_state_dir(options.node) + "/pods", 0700));
    return maker;
}

std::string SandboxMaker::folder(const std::string& uid) const {
    return options_.instance.node_run_dir(options_.node) + "/pods/" + uid;
}

std::string SandboxMaker::netns_path(const std::string& uid) const {
    return Instance::netns_path(options_.instance.pod_netns(uid));
}

std::string SandboxMaker::cgroup(const std::string& uid, std::string_view container) const {
    return fmt::format("{}/{}/{}/{}", cgroup_mount_, options_.instance.pods_cgroup(options_.node), uid, container);
}

std::string SandboxMaker::log_file(const std::string& uid, std::string_view container, unsigned attempt) const {
    return fmt::format("{}/pods/{}/{}/{}.log", options_.instance.node_state_dir(options_.node), uid, container,
                       attempt);
}

std::string SandboxMaker::plan_file(const std::string& uid, std::string_view container) const {
    return fmt::format("{}/{}.plan.json", folder(uid), container);
}

std::string SandboxMaker::volume_folder(const std::string& uid, std::string_view volume, bool on_disk) const {
    if (!on_disk) return fmt::format("{}/volumes/{}", folder(uid), volume);
    return fmt::format("{}/pods/{}/.volumes/{}", options_.instance.node_state_dir(options_.node), uid, volume);
}

Result<Record> SandboxMaker::make(const kube::ObjectKey& key, const std::string& uid,
                                  const std::function<PodFiles(const std::vector<std::string>& ips)>& files) const {
    const std::string name = options_.instance.pod_netns(uid);
    // A namespace without a record is what a crash, or a failed try, left behind.
    if (kernel::Netns::exists(name)) TRY(unmake({key, uid, {}}));
    TRY(kernel::Netns::create(name));
    Record record{key, uid, TRY(cni_add(key, uid))};

    const PodFiles content = files(record.ips);
    const std::string etc = folder(uid) + "/etc";
    TRY(make_directories(etc, 0755));
    TRY(write_file(etc + "/resolv.conf", content.resolv_conf, 0644));
    TRY(write_file(etc + "/hosts", content.hosts, 0644));
    TRY(write_file(etc + "/hostname", content.hostname + "\n", 0644));
    TRY(write_file(etc + "/nsswitch.conf", nsswitch_conf, 0644));
    TRY(start_shim(options_.self_binary, folder(uid), netns_path(uid)));

    json::Array ips;
    for (const std::string& ip : record.ips) ips.emplace_back(ip);
    const json::Object body{{"namespace", key.ns}, {"name", key.name}, {"uid", uid}, {"ips", std::move(ips)}};
    TRY(write_file(folder(uid) + "/pod.json", json::serialize(body)));
    return record;
}

Status SandboxMaker::restart_shim(const std::string& uid) const {
    quit_shim(folder(uid));
    kill_processes(uid);
    return start_shim(options_.self_binary, folder(uid), netns_path(uid));
}

Status SandboxMaker::unmake(const Record& record) const {
    quit_shim(folder(record.uid));
    kill_processes(record.uid);
    if (kernel::Netns::exists(options_.instance.pod_netns(record.uid))) {
        TRY(cni_del(record.key, record.uid));
        TRY(kernel::Netns::remove(options_.instance.pod_netns(record.uid)));
    }
    TRY(kernel::remove_cgroup(cgroup_mount_, options_.instance.pods_cgroup(options_.node) + "/" + record.uid));
    TRY(remove_tree(options_.instance.node_state_dir(options_.node) + "/pods/" + record.uid + "/.volumes"));
    return remove_tree(folder(record.uid));
}

void SandboxMaker::kill_processes(const std::string& uid) const {
    const Status killed = kernel::kill_cgroup(cgroup_mount_, options_.instance.pods_cgroup(options_.node) + "/" + uid);
    if (!killed) log::warning("pod's processes remain", {{"uid", uid}, {"error", killed.error().message}});
}

std::vector<Record> SandboxMaker::records() const {
    std::vector<Record> records;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(options_.instance.node_run_dir(options_.node) + "/pods", error)) {
        const std::string path = entry.path().string() + "/pod.json";
        const Result<std::string> text = read_file(path);
        if (!text && text.error().code == Code::not_found) continue;  // never became whole: make() starts over
        const Result<json::Value> body = text ? json::parse(*text) : fail(text.error());
        const std::string uid = entry.path().filename().string();
        if (!body || json::find_string(*body, {"uid"}) != uid) {
            log::warning("pod record is not readable", {{"file", path}});
            continue;
        }
        records.push_back(
            {{std::string(json::find_string(*body, {"namespace"})), std::string(json::find_string(*body, {"name"}))},
             uid,
             json::find_strings(*body, {"ips"})});
    }
    return records;
}

Status SandboxMaker::remove_state(const std::string& uid) const {
    return remove_tree(options_.instance.node_state_dir(options_.node) + "/pods/" + uid);
}

std::vector<std::string> SandboxMaker::state_uids() const {
    std::vector<std::string> uids;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(options_.instance.node_state_dir(options_.node) + "/pods", error))
        uids.push_back(entry.path().filename().string());
    return uids;
}

Result<std::string> SandboxMaker::call_cni(std::string_view command, const kube::ObjectKey& key,
                                           const std::string& uid) const {
    const std::string folder = options_.cni_binary.substr(0, options_.cni_binary.rfind('/'));
    const std::vector<std::string> environment{
        fmt::format("CNI_COMMAND={}", command),
        "CNI_CONTAINERID=" + uid,
        "CNI_NETNS=" + netns_path(uid),
        "CNI_IFNAME=eth0",
        "CNI_PATH=" + folder,
        fmt::format(
            "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={};K8S_POD_UID={}",
            key.ns, key.name, uid, uid),
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    };
    const json::Object config{{"cniVersion", cni_version},
                              {"name", "weft"},
                              {"type", "weft-cni"},
                              {"agentSocket", options_.instance.agent_socket(options_.node)}};
    const Finished finished =
        TRY(run_program({options_.cni_binary}, environment, json::serialize(config), cni_timeout));
    if (finished.exit_code == 0) return finished.out;
    const Result<json::Value> body = json::parse(finished.out);
    if (!body)
        return fail(Code::io, fmt::format("weft-cni {}: ended with {}: {}", command, finished.exit_code, finished.err));
    const std::string_view details = json::find_string(*body, {"details"});
    return fail(Code::unavailable,
                fmt::format("weft-cni {}: {}{}{} (code {})", command, json::find_string(*body, {"msg"}),
                            details.empty() ? "" : ": ", details, json::find_int(*body, {"code"})));
}

Result<std::vector<std::string>> SandboxMaker::cni_add(const kube::ObjectKey& key, const std::string& uid) const {
    const json::Value result = TRY_IN("weft-cni ADD", json::parse(TRY(call_cni("ADD", key, uid))));
    std::vector<std::string> ips;
    if (const json::Array* list = json::find_array(result, {"ips"})) {
        for (const json::Value& ip : *list) {
            const std::string_view address = json::find_string(ip, {"address"});
            ips.emplace_back(address.substr(0, address.find('/')));
        }
    }
    if (ips.empty()) return fail(Code::io, "weft-cni ADD: the result names no address");
    return ips;
}

Status SandboxMaker::cni_del(const kube::ObjectKey& key, const std::string& uid) const {
    TRY(call_cni("DEL", key, uid));
    return {};
}

}  // namespace weft::runtime
