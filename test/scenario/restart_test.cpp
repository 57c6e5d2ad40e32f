// A restart is a normal event: every process is killed with SIGKILL, one after the other, under running traffic.
//
//   pod client -- ClusterIP (socket and per packet), DNS        internet -- LoadBalancer (TCP, UDP), Ingress
//
// 0 resets, 0 refused, 0 failed of what the kernel forwards; each new connection done within 3 s; a killed worker loses
// only its own connections; after a restart with unchanged objects nothing is written to the kernel again.
#include <signal.h>

#include <thread>

#include "base/clock.h"
#include "base/strings.h"
#include "support/world_main.h"

namespace weft::test {

struct Stream {
    std::string name;
    std::string command;
    bool own_connections_may_fail = false;  // connections a killed worker held itself
    Output output;
    std::thread thread;
};

static constexpr int seconds = 25;

static std::string traffic(const std::string& arguments) { return "python3 " + root() + "/test/support/traffic.py " + arguments; }

// Inside the client pod's namespace and cgroup, without passing through the API server or the runtime, which will be killed.
static std::string in_client(const std::string& command) {
    const std::string uid = world->field("pod client", "{.metadata.uid}");
    const std::string cgroup2 = std::string(trim(run("grep ' - cgroup2 ' /proc/self/mountinfo | head -1 | cut -d' ' -f5").text));
    return "sh -c 'echo $$ > " + cgroup2 + "/" + world->instance().pods_cgroup("node-1") + "/" + uid + "/cgroup.procs; exec nsenter --net=" +
           Instance::netns_path(world->instance().pod_netns(uid)) + " " + command + "'";
}

static std::string in_internet(const std::string& command) {
    return "nsenter --net=" + Instance::netns_path(world->instance().internet_netns()) + " " + command;
}

static json::Value counts_of(const Stream& stream) {
    const auto value = json::parse(trim(stream.output.text));
    return value ? *value : json::Value(json::Object{});
}

TEST(Restart, every_process_killed_under_traffic_disturbs_nothing_the_kernel_forwards) {
    ASSERT_TRUE(world->apply(R"(
apiVersion: v1
kind: Service
metadata: {name: echo-public}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports:
  - {name: tcp, port: 9000, targetPort: 9000, protocol: TCP}
  - {name: udp, port: 9000, targetPort: 9000, protocol: UDP}
)").ok());
    std::string address;
    ASSERT_EQ(eventually(15, [&] {
                  address = world->field("svc echo-public", "{.status.loadBalancer.ingress[0].ip}");
                  return address.empty() ? "no address" : "";
              }),
              "");
    const std::string cluster_ip = world->field("svc echo-public", "{.spec.clusterIP}");
    const std::string dns = world->field("svc kube-dns", "{.spec.clusterIP}", "kube-system");
    const std::string ingress = world->field("ing", "{.items[0].status.loadBalancer.ingress[0].ip}");
    ASSERT_EQ(eventually(10, [&] {
                  const Output probe = run(in_client(traffic("tcp-new " + cluster_ip + " 9000 0.2")));
                  return probe.text.find("\"failed\": 0") != std::string::npos ? "" : probe.text;
              }),
              "");
    const std::string time = " " + std::to_string(seconds);
    std::vector<Stream> streams;
    streams.push_back({"long TCP, ClusterIP", in_client(traffic("tcp-long " + cluster_ip + " 9000" + time))});
    streams.push_back({"long UDP, ClusterIP", in_client(traffic("udp-long " + cluster_ip + " 9000" + time))});
    streams.push_back({"new TCP, ClusterIP", in_client(traffic("tcp-new " + cluster_ip + " 9000" + time))});
    streams.push_back({"DNS", in_client(traffic("dns " + dns + " 53" + time + " web.default.svc.cluster.local"))});
    streams.push_back({"long TCP, LoadBalancer", in_internet(traffic("tcp-long " + address + " 9000" + time))});
    streams.push_back({"long UDP, LoadBalancer", in_internet(traffic("udp-long " + address + " 9000" + time))});
    streams.push_back({"new TCP, LoadBalancer", in_internet(traffic("tcp-new " + address + " 9000" + time))});
    streams.push_back({"HTTP, Ingress", in_internet(traffic("http " + ingress + " 80" + time + " shop.example.test")), true});
    for (Stream& stream : streams) stream.thread = std::thread([&stream] { stream.output = run(stream.command, seconds + 30); });

    std::this_thread::sleep_for(std::chrono::seconds(2));  // traffic before the first kill; nothing is waited for
    for (const char* process : {"agent", "apiserver", "controller", "keeper", "alb", "dns", "runtime", "supervisor"}) {
        const int pid = world->pid_of(process);
        ASSERT_GT(pid, 0) << process << " does not run\n" << world->weft("status").text;
        ASSERT_EQ(::kill(pid, SIGKILL), 0) << process;
        if (std::string_view(process) == "supervisor") {
            EXPECT_EQ(world->up("", false), "");
        }
        const MonotonicTime start = system_clock().now();
        EXPECT_EQ(eventually(5, [&] {
                      const int now = world->pid_of(process);
                      if (now == 0 || now == pid) return std::string(process) + " is not back";
                      const Output status = world->weft("status");
                      return status.ok() ? std::string() : status.text;
                  }),
                  "")
            << process;
        printf("%s killed: ready again after %.1f s\n", process, std::chrono::duration<double>(system_clock().now() - start).count());
    }
    for (Stream& stream : streams) stream.thread.join();
    for (const Stream& stream : streams) {
        printf("%-24s %s\n", stream.name.c_str(), std::string(trim(stream.output.text)).c_str());
        const json::Value counts = counts_of(stream);
        EXPECT_GT(json::find_int(counts, {"done"}), 100) << stream.name << ": " << stream.output.text;
        EXPECT_EQ(json::find_int(counts, {"refused"}), 0) << stream.name;
        EXPECT_LE(json::find_int(counts, {"slowest_ms"}), 3000) << stream.name;
        if (!stream.own_connections_may_fail) {
            EXPECT_EQ(json::find_int(counts, {"failed"}), 0) << stream.name;
            EXPECT_EQ(json::find_int(counts, {"resets"}), 0) << stream.name;
        } else {
            EXPECT_LE(json::find_int(counts, {"failed"}), 2) << stream.name;  // requests in flight when `alb` was killed
        }
    }
}

// Program ids of the node's namespace and cgroup, map ids and links, as the kernel lists them.
static std::string kernel_state() {
    const std::string netns = world->instance().node_netns("node-1");
    return run("nsenter --net=/run/netns/" + netns + " sh -c 'for d in $(ls /sys/class/net 2>/dev/null); do :; done; ip -o link | sort;"
               " ip -4 -o addr | sort; ip route show table all | sort;"
               " for d in $(ip -o link | cut -d: -f2 | cut -d@ -f1); do tc filter show dev $d ingress; done'")
        .text;
}

static std::string metric(const std::string& name) {
    const Output text = run("curl -s --unix-socket " + world->instance().node_run_dir("node-1") + "/agent.health.sock http://localhost/metrics");
    std::string found;
    for (const std::string_view line : split(text.text, '\n'))
        if (line.starts_with(name)) found += std::string(line) + "\n";
    return found;
}

TEST(Restart, an_agent_that_finds_everything_as_it_should_be_writes_nothing) {
    const std::string before = kernel_state();
    const int pid = world->pid_of("agent");
    ASSERT_GT(pid, 0);
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    EXPECT_EQ(eventually(5, [&] {
                  const int now = world->pid_of("agent");
                  return now != 0 && now != pid && world->weft("status").ok() ? "" : "agent is not back";
              }),
              "");
    EXPECT_EQ(kernel_state(), before);
    for (const char* name : {"weft_map_writes_total", "weft_netlink_changes_total"}) {
        const std::string lines = metric(name);
        EXPECT_FALSE(lines.empty()) << name;
        for (const std::string_view line : split(trim(lines), '\n'))
            EXPECT_TRUE(line.ends_with(" 0")) << line;
    }
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv); }
