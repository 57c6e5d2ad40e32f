// What every process may still do, and every door that is open: sockets with mode and owner, listeners, capabilities, seccomp.
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
    EXPECT_GE(sockets, 7u);
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
    for (const char* process : {"apiserver", "controller", "agent", "keeper", "runtime", "alb", "dns"}) {
        const std::string folder = "/proc/" + std::to_string(world->pid_of(process));
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
    const std::string node = listeners(world->instance().node_netns("node-1"));
    printf("node-1:\n%s", node.c_str());
    // The kernel's own for the tunnel, and where pods reach the API server: on the host endpoint, never on the street.
    for (const std::string_view line : split(trim(node), '\n'))
        EXPECT_TRUE(line.empty() || line.find(":4789 ") != std::string_view::npos || line.find("%weft_host:6443 ") != std::string_view::npos)
            << line;
    const std::string server = world->field("svc kube-dns", "{.spec.clusterIPs[0]}", "kube-system");
    const std::string ipv6_server = "[" + world->field("svc kube-dns", "{.spec.clusterIPs[1]}", "kube-system") + "]";
    for (const auto& name : {"vpc-demo", "vpc-blue"}) {
        const std::string vni = world->field(std::string("vpc ") + name, "{.status.vni}");
        const std::string vpc = listeners(world->instance().vpc_netns("node-1", uint32_t(parse_unsigned(vni).value_or(0))));
        printf("%s:\n%s", name, vpc.c_str());
        for (const std::string_view line : split(trim(vpc), '\n'))
            EXPECT_TRUE(line.find(server + ":53") != std::string_view::npos || line.find(ipv6_server + ":53") != std::string_view::npos ||
                        line.find(":80 ") != std::string_view::npos)
                << line;
    }
    const int apiserver = world->pid_of("apiserver");
    const std::string own = run("ss -Hltnp | grep pid=" + std::to_string(apiserver) + ",").text;
    printf("apiserver: %s", own.c_str());
    for (const std::string_view line : split(trim(own), '\n')) EXPECT_NE(line.find("127.0.0.1:"), std::string_view::npos) << line;
}

TEST(Rights, each_process_has_given_up_what_it_does_not_need) {
    for (const char* process : {"apiserver", "controller", "agent", "keeper", "runtime", "alb", "dns"}) {
        const int pid = world->pid_of(process);
        ASSERT_GT(pid, 0) << process;
        printf("%-10s CapEff %s CapBnd %s Seccomp %s NoNewPrivs %s\n", process, status_field(pid, "CapEff").c_str(),
               status_field(pid, "CapBnd").c_str(), status_field(pid, "Seccomp").c_str(), status_field(pid, "NoNewPrivs").c_str());
    }
    for (const char* worker : {"alb", "dns"}) {
        const int pid = world->pid_of(worker);
        EXPECT_EQ(capabilities(pid, "CapEff"), 0u) << worker;
        EXPECT_EQ(capabilities(pid, "CapPrm"), 0u) << worker;
        EXPECT_EQ(status_field(pid, "NoNewPrivs"), "1") << worker;
        for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
            const int thread = std::stoi(task.path().filename());
            EXPECT_EQ(status_field(thread, "Seccomp"), "2") << worker << " thread " << thread;
            EXPECT_EQ(capabilities(thread, "CapEff"), 0u) << worker << " thread " << thread;
        }
    }
    // Rights are each thread's own: every one counts.
    const std::map<std::string, uint64_t> allowed = {{"apiserver", 0}, {"controller", 0}, {"keeper", cap_sys_admin | cap_setpcap},
                                                     {"agent", agent_capabilities}};
    for (const auto& [process, set] : allowed) {
        for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(world->pid_of(process)) + "/task")) {
            const int thread = std::stoi(task.path().filename());
            EXPECT_EQ(capabilities(thread, "CapEff") & ~set, 0u) << process << " thread " << thread;
        }
    }
    EXPECT_EQ(capabilities(world->pid_of("keeper"), "CapEff") & ~cap_sys_admin, 0u) << "keeper, main thread";
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv); }
