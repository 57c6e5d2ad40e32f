// What every process of a lab of two nodes may still do, and every door that is open: sockets with mode and owner, listeners,
// capabilities, seccomp, user. The expectation is the table of docs/operate/rights.md.
#include <linux/capability.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/fd.h"
#include "base/strings.h"
#include "support/world_main.h"

namespace weft::test {

static constexpr uint64_t bit(int capability) { return uint64_t(1) << capability; }

static constexpr uint64_t cap_sys_admin = bit(CAP_SYS_ADMIN);
static constexpr uint64_t cap_setpcap = bit(CAP_SETPCAP);
static constexpr uint64_t agent_capabilities = bit(CAP_BPF) | bit(CAP_PERFMON) | bit(CAP_NET_ADMIN) | bit(CAP_NET_RAW) |
                                               bit(CAP_SYS_ADMIN) | bit(CAP_DAC_OVERRIDE);

static std::string status_field(int pid, const std::string& field) {
    const auto status = read_file("/proc/" + std::to_string(pid) + "/status");
    if (!status) return "?";
    for (const std::string_view line : split(*status, '\n'))
        if (line.starts_with(field + ":")) return std::string(trim(line.substr(field.size() + 1)));
    return "?";
}

static const std::vector<std::string> nodes = {"n1", "n2"};

struct Running {
    std::string process;
    std::string node;
    int pid;
};

// Every process that the design names, of both nodes.
static std::vector<Running> everybody() {
    std::vector<Running> list;
    for (const char* process : {"apiserver", "controller"}) list.push_back({process, "", world->pid_of(process)});
    for (const std::string& node : nodes)
        for (const char* process : {"agent", "keeper", "runtime", "alb", "dns"})
            list.push_back({process, node, world->pid_of(process, node)});
    return list;
}

static uint64_t capabilities(int pid, const std::string& set) { return std::strtoull(status_field(pid, set).c_str(), nullptr, 16); }

TEST(Rights, every_unix_socket_is_for_root_only) {
    size_t sockets = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(world->instance().run_dir())) {
        if (!entry.is_socket()) continue;
        struct stat info{};
        ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
        printf("%o uid %u %s\n", info.st_mode & 0777, info.st_uid, entry.path().c_str());
        EXPECT_EQ(info.st_mode & 0777, 0600u) << entry.path();
        EXPECT_EQ(info.st_uid, 0u) << entry.path();
        sockets++;
    }
    EXPECT_GE(sockets, 20u);
    // None without a path, which would have no mode.
    for (const auto& [process, node, pid] : everybody())
        EXPECT_EQ(run("ss -Hlxp | grep -F 'pid=" + std::to_string(pid) + ",' | awk '{print $5}' | grep '^@'").text, "") << process << node;
}

TEST(Rights, every_secret_file_is_for_root_only) {
    for (const std::string& folder : {world->instance().run_dir() + "/tokens", world->instance().state_dir()}) {
        struct stat info{};
        ASSERT_EQ(stat(folder.c_str(), &info), 0) << folder;
        EXPECT_EQ(info.st_mode & 077, 0u) << folder;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
            const std::string name = entry.path().filename();
            if (!entry.is_regular_file() || name == "ca.pem" || name == "server.pem" || name == "port") continue;
            ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
            EXPECT_EQ(info.st_mode & 077, 0u) << entry.path();
        }
    }
    // Tokens travel by file, never by argument or environment.
    std::vector<std::string> tokens;
    for (const auto& entry : std::filesystem::directory_iterator(world->instance().run_dir() + "/tokens"))
        tokens.emplace_back(trim(MUST(read_file(entry.path()))));
    EXPECT_FALSE(tokens.empty());
    for (const auto& [process, node, pid] : everybody()) {
        const std::string folder = "/proc/" + std::to_string(pid);
        for (const char* file : {"/cmdline", "/environ"}) {
            const auto text = read_file(folder + file);
            ASSERT_TRUE(text) << process << file;
            for (const std::string& token : tokens) EXPECT_EQ(text->find(token), std::string::npos) << process << file;
        }
    }
}

TEST(Rights, only_the_expected_addresses_listen) {
    const auto listeners = [](const std::string& netns) {
        return run("nsenter --net=" + Instance::netns_path(netns) + " ss -Hltnup | awk '{print $1, $5, $7}'").text;
    };
    // The kernel's own for the tunnel, where pods reach the API server (on the host endpoint, never on the street), and
    // where the street asks for the health of the node's Services (DP-31).
    for (const std::string& name : nodes) {
        const std::string node = listeners(world->instance().node_netns(name));
        printf("%s:\n%s", name.c_str(), node.c_str());
        const std::string address = world->field("node " + name, "{.status.addresses[0].address}");
        for (const std::string_view line : split(trim(node), '\n'))
            EXPECT_TRUE(line.empty() || line.find(":4789 ") != std::string_view::npos || line.find("%weft_host:6443 ") != std::string_view::npos ||
                        line.find(address + ":10256 ") != std::string_view::npos)
                << line;
    }
    const std::string server = world->field("svc kube-dns", "{.spec.clusterIPs[0]}", "kube-system");
    const std::string ipv6_server = "[" + world->field("svc kube-dns", "{.spec.clusterIPs[1]}", "kube-system") + "]";
    for (const auto& name : {"vpc-demo", "vpc-blue"}) {
        const std::string vni = world->field(std::string("vpc ") + name, "{.status.vni}");
        for (const std::string& node : nodes) {
            const std::string vpc = listeners(world->instance().vpc_netns(node, uint32_t(parse_unsigned(vni).value_or(0))));
            printf("%s on %s:\n%s", name, node.c_str(), vpc.c_str());
            EXPECT_NE(trim(vpc), "");
            for (const std::string_view line : split(trim(vpc), '\n'))
                EXPECT_TRUE(line.find(server + ":53") != std::string_view::npos || line.find(ipv6_server + ":53") != std::string_view::npos ||
                            line.find(":80 ") != std::string_view::npos)
                    << line;
        }
    }
    const int apiserver = world->pid_of("apiserver");
    const std::string own = run("ss -Hltnp | grep pid=" + std::to_string(apiserver) + ",").text;
    printf("apiserver: %s", own.c_str());
    for (const std::string_view line : split(trim(own), '\n')) EXPECT_NE(line.find("127.0.0.1:"), std::string_view::npos) << line;
}

// Rights are each thread's own: every one counts.
static std::vector<int> threads_of(int pid) {
    std::vector<int> threads;
    for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task"))
        threads.push_back(std::stoi(task.path().filename()));
    return threads;
}

TEST(Rights, each_process_has_given_up_what_it_does_not_need) {
    const std::map<std::string, uint64_t> allowed = {{"apiserver", 0},
                                                     {"controller", 0},
                                                     {"agent", agent_capabilities},
                                                     {"keeper", cap_sys_admin | cap_setpcap},
                                                     {"alb", 0},
                                                     {"dns", 0}};
    for (const auto& [process, node, pid] : everybody()) {
        ASSERT_GT(pid, 0) << process << node;
        printf("%-10s %-3s uid %s CapEff %s CapBnd %s Seccomp %s NoNewPrivs %s\n", process.c_str(), node.c_str(),
               status_field(pid, "Uid").c_str(), status_field(pid, "CapEff").c_str(), status_field(pid, "CapBnd").c_str(),
               status_field(pid, "Seccomp").c_str(), status_field(pid, "NoNewPrivs").c_str());
        EXPECT_EQ(status_field(pid, "Uid"), "0\t0\t0\t0") << process;
        const auto set = allowed.find(process);
        if (set == allowed.end()) continue;  // runtime: it makes pods, with every right there is
        for (const int thread : threads_of(pid))
            for (const char* kind : {"CapEff", "CapPrm", "CapInh", "CapAmb"})
                EXPECT_EQ(capabilities(thread, kind) & ~set->second, 0u) << process << node << " thread " << thread << " " << kind;
        if (process == "alb" || process == "dns" || process == "keeper") {
            EXPECT_EQ(status_field(pid, "NoNewPrivs"), "1") << process << node;
        }
        // A worker's bounding set is its keeper's: with no_new_privs, and nothing to execute, it gives nothing.
        if (process != "alb" && process != "dns") {
            EXPECT_EQ(capabilities(pid, "CapBnd") & ~set->second, 0u) << process << node;
        }
    }
    for (const std::string& node : nodes)
        EXPECT_EQ(capabilities(world->pid_of("keeper", node), "CapEff") & ~cap_sys_admin, 0u) << "keeper, main thread";
}

// ALB and DNS: no file can be opened, no socket made, nothing executed (src/worker/sandbox_test.cpp tries each).
TEST(Rights, workers_run_under_a_seccomp_list_in_every_thread_and_hold_no_file_of_the_machine) {
    for (const std::string& node : nodes)
        for (const char* worker : {"alb", "dns"}) {
            const int pid = world->pid_of(worker, node);
            for (const int thread : threads_of(pid)) EXPECT_EQ(status_field(thread, "Seccomp"), "2") << worker << " thread " << thread;
            for (const auto& file : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
                std::error_code error;
                const std::string target = std::filesystem::read_symlink(file.path(), error);
                const bool is_plain = target.starts_with("/") && !target.starts_with("/memfd:") && !target.starts_with("/dev/null") &&
                                      !target.starts_with(world->instance().run_dir() + "/log/");
                EXPECT_FALSE(is_plain) << worker << " on " << node << " holds " << target;
            }
        }
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv, "--nodes 2 --zones 2", true, "lab"); }
