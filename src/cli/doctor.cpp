// weft doctor: looks at the machine and prints one line a subject; and the short form of it that `weft up` begins with.
#include "cli/doctor.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/fd.h"
#include "base/strings.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/views.h"
#include "kernel/netns.h"
#include "kernel/probe.h"
#include "kernel/route.h"

namespace weft::cli {

namespace fs = std::filesystem;

static bool kernel_knows_filesystem(std::string_view name) {
    const auto text = read_file("/proc/filesystems");
    if (!text) return true;
    for (const std::string_view line : split(*text, '\n'))
        if (trim(line.substr(std::min(line.size(), line.find('\t') + 1))) == name) return true;
    return false;
}

static void look_at_mounts(Facts& facts) {
    facts.has_cgroup2 = kernel_knows_filesystem("cgroup2");
    const auto table = read_file("/proc/self/mountinfo");
    if (!table) return;
    facts.root_is_mounted = false;
    for (const std::string_view line : split(*table, '\n')) {
        const auto fields = split(line, ' ');
        const size_t dash = line.find(" - ");
        if (fields.size() < 6 || dash == std::string_view::npos) continue;
        facts.root_is_mounted = facts.root_is_mounted || fields[4] == "/";
        const std::string_view type = line.substr(dash + 3);
        if (type.starts_with("cgroup2 ")) {
            if (fields[3] == "/" && facts.cgroup2_mount.empty()) facts.cgroup2_mount = fields[4];
            facts.cgroup2_is_partial = facts.cgroup2_is_partial || fields[3] != "/";
        } else if (type.starts_with("cgroup ")) {
            const std::string name = fs::path(fields[4]).filename().string();
            if (name != "systemd") facts.cgroup1_controllers.insert(name);
        }
    }
}

static std::string sysctl(const std::string& name, const std::string& otherwise) {
    const auto text = read_file("/proc/sys/" + name);
    return text ? std::string(trim(*text)) : otherwise;
}

static std::set<std::string> running_of(const std::set<std::string>& known) {
    std::set<std::string> found;
    DIR* folder = opendir("/proc");
    if (folder == nullptr) return found;
    while (const dirent* entry = readdir(folder)) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
        const auto name = read_file(std::string("/proc/") + entry->d_name + "/comm");
        if (name && known.contains(std::string(trim(*name)))) found.emplace(trim(*name));
    }
    closedir(folder);
    return found;
}

static void look_at_firewalls(Facts& facts, const Instance& instance) {
    if (const auto here = kernel::Netns::current())
        if (auto tables = kernel::list_firewall_tables(*here)) facts.machine_tables = std::move(*tables);
    const auto names = kernel::Netns::list();
    if (!names) return;
    const std::string pods = instance.pod_netns("");
    for (const std::string& name : *names) {
        // What a pod does in its own namespace is the pod's business.
        if (!name.starts_with("weft-" + instance.name() + "-") || name.starts_with(pods)) continue;
        const auto netns = kernel::Netns::open(name);
        if (!netns) continue;
        if (auto tables = kernel::list_firewall_tables(*netns)) facts.our_tables[name] = std::move(*tables);
    }
}

static void look_at_routes(Facts& facts) {
    auto netlink = kernel::Netlink::open();
    if (!netlink) return;
    const auto routes = kernel::list_routes(*netlink);
    if (!routes) return;
    for (const kernel::Route& route : *routes)
        if (route.destination != kernel::default_v4() && route.destination != kernel::default_v6())
            facts.routes.push_back(route.destination);
}

static void look_at_disk(Facts& facts, const Instance& instance) {
    facts.store_folder = instance.state_dir();
    fs::path folder = facts.store_folder;  // the nearest that exists
    std::error_code error;
    while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
    struct statvfs info{};
    if (statvfs(folder.c_str(), &info) != 0) return;
    facts.disk_free_bytes = uint64_t(info.f_bavail) * info.f_frsize;
    if (info.f_files != 0) facts.disk_free_files = info.f_favail;  // some file systems count none
}

static bool is_on_path(std::string_view program) {
    const char* path = std::getenv("PATH");
    for (const std::string_view folder : split(path == nullptr ? "/usr/bin:/bin" : path, ':'))
        if (access((std::string(folder) + "/" + std::string(program)).c_str(), X_OK) == 0) return true;
    return false;
}

Facts look_at_machine(const Instance& instance, const std::string& self_binary) {
    Facts facts;
    facts.root = geteuid() == 0;
    utsname name{};
    if (uname(&name) == 0) facts.kernel = name.release;
    facts.has_btf = access("/sys/kernel/btf/vmlinux", F_OK) == 0;
    facts.has_bpf_filesystem = kernel_knows_filesystem("bpf");
    look_at_mounts(facts);
    if (facts.root)
        if (const Status probed = kernel::probe_data_plane(); !probed) facts.data_plane = probed.error();
    facts.jit = sysctl("net/core/bpf_jit_enable", facts.jit);
    facts.rp_filter = sysctl("net/ipv4/conf/default/rp_filter", facts.rp_filter);
    facts.ip_forward = sysctl("net/ipv4/ip_forward", facts.ip_forward);
    facts.running = running_of({"firewalld", "dockerd", "ufw", "NetworkManager", "systemd-network"});
    if (facts.running.erase("systemd-network") != 0) facts.running.insert("systemd-networkd");  // comm has 15 letters
    look_at_firewalls(facts, instance);
    look_at_routes(facts);
    look_at_disk(facts, instance);
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) facts.open_files_max = files.rlim_max;
    facts.inotify_instances_max = parse_unsigned(sysctl("fs/inotify/max_user_instances", "")).value_or(UINT64_MAX);
    for (const char* program : {"curl", "dig", "nc"})
        if (!is_on_path(program)) facts.missing_programs.emplace_back(program);
    const std::string cni = (fs::path(self_binary).parent_path() / "weft-cni").string();
    if (access(cni.c_str(), X_OK) != 0) facts.missing_cni_binary = cni;
    return facts;
}

// The question is about the machine: none running, or several, is no reason not to answer it.
static Result<Instance> instance_of(const Common& common) {
    const auto found = find_instance(common);
    return found || !common.instance.empty() ? found : Instance::parse(default_instance);
}

int doctor(const Common& common, const std::string& self_binary) {
    const auto instance = instance_of(common);
    if (!instance) return report(instance.error());
    const auto findings = judge(look_at_machine(*instance, self_binary));
    const int code = exit_code_of(findings);
    if (is_for_programs(common)) {
        print_value(common, findings_view(findings));
        return code;
    }
    for (const Finding& finding : findings) fmt::print("{}\n", line_of(finding));
    fmt::print("\n{}\n",
               code == 0 ? "a weft can run here: weft up" : "a weft cannot run here; what stops it is marked STOP");
    return code;
}

Status examine_before_up(const Instance& instance, const std::string& self_binary) {
    for (const Finding& finding : judge(look_at_machine(instance, self_binary))) {
        if (finding.level == Finding::Level::warn) fmt::print("  {}\n", line_of(finding));
        if (finding.level != Finding::Level::stop) continue;
        return fail(finding.code, finding.subject + ": " + finding.text +
                                      (finding.fix.empty() ? "" : "; fix: " + finding.fix) +
                                      " (weft doctor shows all)");
    }
    return {};
}

}  // namespace weft::cli
