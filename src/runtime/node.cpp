#include "runtime/node.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <condition_variable>

#include "base/log.h"
#include "base/strings.h"
#include "cloud/annotations.h"

namespace weft::runtime {

static constexpr std::string_view runtime_version = "weft://0.1.0";
static constexpr std::string_view lease_namespace = "kube-node-lease";
static constexpr int register_tries = 5;

std::string uplink_address(const char* interface) {
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return "";
    std::string address;
    for (const ifaddrs* at = list; at != nullptr && address.empty(); at = at->ifa_next) {
        if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_INET ||
            std::string_view(at->ifa_name) != interface || (at->ifa_flags & IFF_RUNNING) == 0)
            continue;
        char text[INET_ADDRSTRLEN] = "";
        inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(at->ifa_addr)->sin_addr, text, sizeof text);
        address = text;
    }
    freeifaddrs(list);
    return address;
}

std::string uplink_ipv6_address(const char* interface) {
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return "";
    std::string address;
    for (const ifaddrs* at = list; at != nullptr && address.empty(); at = at->ifa_next) {
        if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_INET6 || std::string_view(at->ifa_name) != interface)
            continue;
        const in6_addr& found = reinterpret_cast<const sockaddr_in6*>(at->ifa_addr)->sin6_addr;
        if (IN6_IS_ADDR_LINKLOCAL(&found)) continue;
        char text[INET6_ADDRSTRLEN] = "";
        inet_ntop(AF_INET6, &found, text, sizeof text);
        address = text;
    }
    freeifaddrs(list);
    return address;
}

static std::string os_name() {
    const Result<std::string> release = read_file("/etc/os-release");
    if (!release) return "Linux";
    for (std::string_view line : split(*release, '\n')) {
        if (!line.starts_with("PRETTY_NAME=")) continue;
        line.remove_prefix(12);
        if (line.size() >= 2 && line.front() == '"') line = line.substr(1, line.size() - 2);
        return std::string(line);
    }
    return "Linux";
}

static std::string file_text(const char* path) {
    const Result<std::string> text = read_file(path);
    return text ? std::string(trim(*text)) : "";
}

static json::Object node_info() {
    utsname name{};
    uname(&name);
    const std::string_view machine = name.machine;
    const std::string_view architecture = machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine;
    return {{"machineID", file_text("/etc/machine-id")},
            {"systemUUID", ""},
            {"bootID", file_text("/proc/sys/kernel/random/boot_id")},
            {"kernelVersion", std::string(name.release)},
            {"osImage", os_name()},
            {"containerRuntimeVersion", runtime_version},
            {"kubeletVersion", "v1.35.0-weft"},
            {"kubeProxyVersion", ""},
            {"operatingSystem", "linux"},
            {"architecture", architecture}};
}

static json::Object capacity() {
    struct sysinfo machine {};
    sysinfo(&machine);
    const uint64_t memory_ki = uint64_t(machine.totalram) * machine.mem_unit / 1024;
    return {{"cpu", std::to_string(get_nprocs())},
            {"memory", fmt::format("{}Ki", memory_ki)},
            {"pods", std::to_string(pods_max)}};
}

kube::Object desired_node(const kube::Object& existing, const Options& options, const std::string& address,
                          const Clock& clock) {
    kube::Object node = existing;
    const json::Object info = node_info();
    node.set_label("kubernetes.io/hostname", options.node);
    node.set_label("kubernetes.io/os", "linux");
    node.set_label("kubernetes.io/arch", json::view(info.at("architecture").as_string()));
    const std::vector<std::string> zones = split_list(options.zone);
    if (!zones.empty()) node.set_label(cloud::zone_label, zones.front());
    if (zones.size() > 1) node.set_annotation(cloud::zones_annotation, options.zone);
    // A node that is cut off keeps the address by which the others know it.
    json::Array addresses{json::Object{{"type", "Hostname"}, {"address", options.node}}};
    if (const std::string ipv6 = uplink_ipv6_address(); !address.empty() && !ipv6.empty())
        addresses.insert(addresses.begin(), json::Object{{"type", "InternalIP"}, {"address", ipv6}});
    if (!address.empty())
        addresses.insert(addresses.begin(), json::Object{{"type", "InternalIP"}, {"address", address}});
    if (!address.empty() || node.array({"status", "addresses"}).empty())
        node.set({"status", "addresses"}, std::move(addresses));
    node.set({"status", "capacity"}, capacity());
    node.set({"status", "allocatable"}, capacity());
    node.set({"status", "nodeInfo"}, info);
    const bool ready = !address.empty();
    set_condition(node, "Ready", ready, ready ? "RuntimeReady" : "UplinkNotReady",
                  ready ? "weft runtime is running" : "the uplink eth0 is down or has no IPv4 address", clock);
    return node;
}

static Status register_once(kube::Client& client, const Options& options, const std::string& address) {
    const kube::ObjectKey key{"", options.node};
    Result<kube::Object> existing = client.get(kube::nodes, key);
    if (!existing && existing.error().code == Code::not_found) {
        existing = client.create(kube::nodes, desired_node(kube::Object::of(kube::nodes, key), options, address));
        if (existing) log::info("node registered", {{"node", options.node}, {"address", address}});
    }
    if (!existing) return fail(existing.error().in("node " + options.node));
    kube::Object wanted = desired_node(*existing, options, address);
    if (wanted.find({"metadata", "labels"}) != nullptr) {
        json::Object metadata;
        for (const std::string_view field : {"labels", "annotations"}) {
            const json::Value* now = existing->find({"metadata", field});
            const json::Value* then = wanted.find({"metadata", field});
            if (then != nullptr && (now == nullptr || *now != *then)) metadata[field] = *then;
        }
        if (!metadata.empty()) {
            const json::Object patch{{"metadata", std::move(metadata)}};
            existing = TRY_IN("node labels", client.patch(kube::nodes, key, kube::PatchType::merge, patch));
            wanted = desired_node(*existing, options, address);
        }
    }
    if (wanted == *existing) return {};
    TRY_IN("node status", client.update_status(kube::nodes, wanted));
    return {};
}

// The controller writes its annotations on a new Node in just this moment: a conflict only means to look once more.
Status register_node(kube::Client& client, const Options& options, const std::string& address) {
    Status status = register_once(client, options, address);
    for (int tries = 1; !status && status.error().code == Code::conflict && tries < register_tries; ++tries)
        status = register_once(client, options, address);
    return status;
}

Status renew_lease(kube::Client& client, const std::string& node, const Clock& clock) {
    const kube::ObjectKey key{std::string(lease_namespace), node};
    const std::string now = rfc3339_micro(clock.wall());
    const json::Object spec{{"holderIdentity", node}, {"leaseDurationSeconds", lease_duration_s}, {"renewTime", now}};
    const Result<kube::Object> renewed =
        client.patch(kube::leases, key, kube::PatchType::merge, json::Object{{"spec", spec}});
    if (renewed) return {};
    if (renewed.error().code != Code::not_found) return fail(renewed.error());
    kube::Object lease = kube::Object::of(kube::leases, key);
    lease.set({"spec"}, spec);
    lease.set({"spec", "acquireTime"}, now);
    TRY(client.create(kube::leases, lease));
    return {};
}

LeaseKeeper::LeaseKeeper(kube::Client& client, std::string node)
    : thread_([&client, node = std::move(node)](std::stop_token stop) {
          std::mutex mutex;
          std::condition_variable_any never;
          std::string last_error;
          while (!stop.stop_requested()) {
              const Status renewed = renew_lease(client, node);
              const std::string error = renewed ? "" : renewed.error().message;
              if (!error.empty() && error != last_error)
                  log::warning("lease not renewed", {{"node", node}, {"error", error}});
              last_error = error;
              std::unique_lock lock(mutex);
              // After a failure sooner: a new API server has 40 s to hear from everyone.
              never.wait_for(lock, stop, renewed ? lease_period : std::chrono::seconds(1), [] { return false; });
          }
      }) {}

}  // namespace weft::runtime
