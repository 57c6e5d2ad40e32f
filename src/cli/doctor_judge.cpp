// The judgement: one small function a subject, facts in, a finding out.
#include <fmt/format.h>

#include "base/strings.h"
#include "cli/context.h"
#include "cli/doctor.h"
#include "cli/views.h"

namespace weft::cli {

using Level = Finding::Level;

static std::string joined(const auto& words) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : ", ") + std::string(word);
    return text;
}

static Finding judge_rights(const Facts& facts) {
    if (facts.root) return {Level::ok, "rights", "root"};
    return {Level::stop, "rights", "not root: network namespaces and BPF programs need it", "run it with sudo",
            Code::denied};
}

// "6.1.0-18-amd64" → {6, 1}
static std::optional<std::pair<unsigned, unsigned>> version_of(std::string_view release) {
    const auto parts = split(release, '.');
    if (parts.size() < 2) return std::nullopt;
    const auto major = parse_unsigned(parts[0]);
    const auto minor = parse_unsigned(parts[1].substr(0, parts[1].find_first_not_of("0123456789")));
    if (!major || !minor) return std::nullopt;
    return std::pair{unsigned(*major), unsigned(*minor)};
}

static Finding judge_kernel(const Facts& facts) {
    const auto version = version_of(facts.kernel);
    if (!version) return {Level::warn, "kernel", fmt::format("\"{}\" is no version that I can read", facts.kernel)};
    if (*version < std::pair{kernel_major_min, kernel_minor_min})
        return {Level::stop, "kernel",
                fmt::format("{} is older than {}.{}", facts.kernel, kernel_major_min, kernel_minor_min),
                "boot Debian 12's own kernel, or a newer one: apt install linux-image-amd64"};
    return {Level::ok, "kernel", facts.kernel};
}

static Finding judge_btf(const Facts& facts) {
    if (facts.has_btf) return {Level::ok, "btf", "/sys/kernel/btf/vmlinux is there"};
    return {Level::stop, "btf", "the kernel carries no BTF (/sys/kernel/btf/vmlinux)",
            "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as Debian's are"};
}

static Finding judge_data_plane(const Facts& facts) {
    if (!facts.has_bpf_filesystem)
        return {Level::stop, "bpf", "the kernel has no BPF file system", "boot a kernel with CONFIG_BPF_SYSCALL=y"};
    if (facts.data_plane)
        return {Level::stop, "bpf", facts.data_plane->message,
                "boot a kernel with BPF, veth, clsact and cls_bpf (modprobe veth sch_ingress cls_bpf); inside a "
                "container it "
                "needs --privileged",
                facts.data_plane->code == Code::denied ? Code::denied : Code::unavailable};
    if (facts.jit == "0")
        return {Level::warn, "bpf", "programs are interpreted (net.core.bpf_jit_enable=0): several times slower",
                "sysctl -w net.core.bpf_jit_enable=1"};
    return {
        Level::ok, "bpf",
        facts.root ? "a program was loaded and attached to a veth in a scratch namespace" : "not tried without root"};
}

static Finding judge_root(const Facts& facts) {
    if (facts.root_is_mounted) return {Level::ok, "root", "/ is a mount point"};
    return {Level::stop, "root", "/ is no mount point (a plain chroot): no pod could be given mounts of its own",
            "bind the tree on itself before entering it: mount --bind DIR DIR; chroot DIR"};
}

static Finding judge_cgroup(const Facts& facts) {
    if (!facts.has_cgroup2)
        return {Level::stop, "cgroup2", "the kernel has no cgroup2",
                "boot a kernel with CONFIG_CGROUPS=y and CONFIG_CGROUP_BPF=y"};
    if (facts.cgroup2_mount.empty() && facts.cgroup2_is_partial)
        return {Level::note, "cgroup2",
                "only a part of the hierarchy is mounted here (a container); its root will be mounted on "
                "/run/weft/cgroup"};
    if (facts.cgroup2_mount.empty()) return {Level::note, "cgroup2", "not mounted; it will be, on /run/weft/cgroup"};
    if (!facts.cgroup1_controllers.empty())
        return {Level::note, "cgroup2",
                fmt::format("hybrid: {} beside version 1 ({}); weft uses version 2 only, which is enough",
                            facts.cgroup2_mount, joined(facts.cgroup1_controllers))};
    return {Level::ok, "cgroup2", facts.cgroup2_mount};
}

static Finding judge_rp_filter(const Facts& facts) {
    if (facts.rp_filter == "0") return {Level::ok, "rp_filter", "off in new namespaces"};
    return {Level::note, "rp_filter",
            fmt::format(
                "new namespaces inherit {} from this machine; weft sets 0 in its own, and the machine's stays as it is",
                facts.rp_filter)};
}

static Finding judge_ip_forward(const Facts& facts) {
    return {Level::ok, "ip_forward",
            fmt::format("{}; it does not matter: packets go from pod to pod by BPF, past the kernel's forwarding",
                        facts.ip_forward)};
}

static Finding judge_machine_firewall(const Facts& facts) {
    std::set<std::string> who;
    for (const char* name : {"firewalld", "dockerd", "ufw"})
        if (facts.running.contains(name)) who.insert(name);
    if (who.empty() && facts.machine_tables.empty()) return {Level::ok, "firewall", "no rules on this machine"};
    return {Level::note, "firewall",
            fmt::format(
                "rules of this machine ({}) do not see weft's packets: every node and pod is a network namespace with "
                "rules of its own, which begins with none",
                joined(who.empty() ? std::set<std::string>(facts.machine_tables.begin(), facts.machine_tables.end())
                                   : who))};
}

// What would really drop our traffic: rules inside our own namespaces. Nothing of weft's makes any.
static Finding judge_our_firewall(const Facts& facts) {
    for (const auto& [netns, tables] : facts.our_tables) {
        if (tables.empty()) continue;
        return {Level::warn, "rules", fmt::format("somebody put firewall rules into {}: {}", netns, joined(tables)),
                fmt::format("ip netns exec {} nft flush ruleset", netns)};
    }
    if (facts.our_tables.empty()) return {Level::ok, "rules", "no namespace of the instance yet"};
    return {Level::ok, "rules", fmt::format("none in the instance's {} namespaces", facts.our_tables.size())};
}

static Finding judge_network_manager(const Facts& facts) {
    for (const char* name : {"NetworkManager", "systemd-networkd"})
        if (facts.running.contains(name))
            return {Level::note, "managers",
                    fmt::format("{} runs and is not in the way: weft's interfaces are born inside its own "
                                "namespaces, where it does not look",
                                name)};
    return {Level::ok, "managers", "no NetworkManager or systemd-networkd"};
}

static Finding judge_routes(const Facts& facts) {
    std::vector<std::string> overlapping;
    for (const char* ours : {"198.18.0.0/16", "203.0.113.0/24"})
        for (const net::Prefix& route : facts.routes)
            if (route.overlaps(MUST(net::Prefix::parse(ours)))) overlapping.push_back(route.text());
    if (overlapping.empty()) return {Level::ok, "routes", "none over 198.18.0.0/16 or 203.0.113.0/24"};
    return {
        Level::note, "routes",
        fmt::format("this machine has routes for {}; weft uses such addresses only inside its namespaces, both work",
                    joined(overlapping))};
}

static Finding judge_disk(const Facts& facts) {
    const uint64_t mib = facts.disk_free_bytes >> 20;
    if (facts.disk_free_bytes < disk_bytes_min)
        return {Level::stop, "disk",
                fmt::format("{} MiB free for {}, the store needs {}", mib, facts.store_folder, disk_bytes_min >> 20),
                "make room there", Code::exhausted};
    if (facts.disk_free_bytes < disk_bytes_good)
        return {Level::warn, "disk", fmt::format("only {} MiB free for {}", mib, facts.store_folder),
                "make room there"};
    if (facts.disk_free_files < disk_files_good)
        return {Level::warn, "disk",
                fmt::format("only {} inodes free for {}", facts.disk_free_files, facts.store_folder),
                "remove small files there"};
    return {
        Level::ok, "disk",
        facts.disk_free_bytes == UINT64_MAX ? "not asked" : fmt::format("{} MiB free for {}", mib, facts.store_folder)};
}

static Finding judge_limits(const Facts& facts) {
    if (facts.open_files_max < open_files_good)
        return {Level::warn, "limits",
                fmt::format("a process may open {} files; the ALB and the keeper hold one a connection",
                            facts.open_files_max),
                fmt::format("ulimit -Hn {} before weft up, or LimitNOFILE= in the unit", open_files_good)};
    if (facts.inotify_instances_max < inotify_instances_good)
        return {Level::warn, "limits",
                fmt::format("fs.inotify.max_user_instances={}: one is needed for each `kubectl logs -f`",
                            facts.inotify_instances_max),
                fmt::format("sysctl -w fs.inotify.max_user_instances={}", inotify_instances_good)};
    return {Level::ok, "limits", "enough files and inotify instances"};
}

static Finding judge_programs(const Facts& facts) {
    if (!facts.missing_cni_binary.empty())
        return {Level::stop, "programs", facts.missing_cni_binary + " is missing: no pod would get a network",
                "build or install weft-cni beside weft: ninja weft-cni", Code::not_found};
    if (!facts.missing_programs.empty())
        return {Level::warn, "programs",
                fmt::format("the image `client` runs this machine's own programs, and these are missing: {}",
                            joined(facts.missing_programs)),
                "apt install curl bind9-dnsutils netcat-openbsd"};
    return {Level::ok, "programs", "weft-cni, curl, dig, nc"};
}

std::vector<Finding> judge(const Facts& facts) {
    return {judge_rights(facts),
            judge_kernel(facts),
            judge_btf(facts),
            judge_data_plane(facts),
            judge_root(facts),
            judge_cgroup(facts),
            judge_programs(facts),
            judge_disk(facts),
            judge_limits(facts),
            judge_rp_filter(facts),
            judge_ip_forward(facts),
            judge_machine_firewall(facts),
            judge_our_firewall(facts),
            judge_network_manager(facts),
            judge_routes(facts)};
}

int exit_code_of(const std::vector<Finding>& findings) {
    for (const Finding& finding : findings)
        if (finding.level == Level::stop) return exit_code(finding.code);
    return 0;
}

static constexpr const char* words[] = {"ok", "note", "warn", "STOP"};

json::Value findings_view(const std::vector<Finding>& findings) {
    json::Array list;
    for (const Finding& finding : findings)
        list.push_back(json::Object{{"level", to_lower(words[size_t(finding.level)])},
                                    {"subject", finding.subject},
                                    {"text", finding.text},
                                    {"fix", finding.fix}});
    return list;
}

std::string line_of(const Finding& finding) {
    const std::string fix = finding.fix.empty() ? "" : "; fix: " + finding.fix;
    return fmt::format("{:<5} {:<11} {}{}", words[size_t(finding.level)], finding.subject, finding.text, fix);
}

}  // namespace weft::cli
