// Faults that are not a process' death: the API server away, the disk full, the clock wrong, processes that stand still.
//
//   pod client -- ClusterIP, DNS -- pods web        internet -- LoadBalancer -- pods web        one node
//
// Each time: what the kernel forwards is untouched (0 failed, 0 resets, 0 refused), all is ready within recovery_s of the
// end of the fault, and nothing was deleted because of it: the same pods without a restart, the same addresses, Leases and
// namespaces. The data folder is a small file system of its own; the wall clock is weft's own reading of it (base/clock.h),
// for the machine's belongs to everybody. With WEFT_TEST_LONG each fault lasts 30 s.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include <set>

#include "base/clock.h"
#include "base/fd.h"
#include "base/strings.h"
#include "support/traffic.h"
#include "support/world_main.h"

namespace weft::test {

static constexpr int recovery_s = 5;
static constexpr std::string_view disk_size = "80m";

static int fault_s(int in_ci) { return std::getenv("WEFT_TEST_LONG") != nullptr ? 30 : in_ci; }

// What no fault may change. Sorted lines, so that a difference can be read.
static std::set<std::string> what_is_there() {
    std::set<std::string> lines;
    const auto add = [&](const std::string& what, const std::string& jsonpath) {
        const Output output = world->kubectl("get " + what + " -A -o jsonpath='" + jsonpath + "'");
        if (!output.ok()) lines.insert(what + ": " + output.text);
        for (const std::string_view line : split(output.text, '\n')) lines.insert(what + " " + std::string(line));
    };
    add("pods", "{range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.uid} {.status.podIP} "
                "{.status.containerStatuses[*].restartCount} {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}");
    add("nodes", "{range .items[*]}{.metadata.name} {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}");
    add("ablk", "{range .items[*]}{.metadata.name} {.spec.node} {.status.allocations[*].address}{\"\\n\"}{end}");
    add("leases", "{range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.uid}{\"\\n\"}{end}");
    add("endpointslices", "{range .items[*]}{.metadata.namespace}/{.metadata.name} "
                          "{.endpoints[?(@.conditions.ready==true)].addresses[*]}{\"\\n\"}{end}");
    const std::string netns = run("ls /run/netns | grep ^weft-" + world->instance().name() + "-").text;
    for (const std::string_view line : split(netns, '\n')) lines.insert("netns " + std::string(line));
    return lines;
}

struct Faults : testing::Test {
    void SetUp() override {
        client = place_of(*world, "default", "client");
        cluster_ip = world->field("svc web-faults", "{.spec.clusterIP}");
        if (cluster_ip.empty()) {
            ASSERT_TRUE(world->apply(R"(
apiVersion: v1
kind: Service
metadata: {name: web-faults}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports:
  - {name: tcp, port: 9000, targetPort: 9000, protocol: TCP}
  - {name: udp, port: 9000, targetPort: 9000, protocol: UDP}
)").ok());
            cluster_ip = world->field("svc web-faults", "{.spec.clusterIP}");
        }
        ASSERT_EQ(eventually(20, [&]() -> std::string {
                      public_ip = world->field("svc web-faults", "{.status.loadBalancer.ingress[0].ip}");
                      if (public_ip.empty()) return "no public address";
                      for (const std::string& probe :
                           {in_place(*world, client, traffic_py("tcp-new " + cluster_ip + " 9000 0.1")),
                            on_street(*world, traffic_py("tcp-new " + public_ip + " 9000 0.1"))}) {
                          const Output output = run(probe);
                          if (output.text.find("\"failed\": 0") == std::string::npos) return output.text;
                      }
                      return "";
                  }),
                  "");
        dns_ip = world->field("svc kube-dns", "{.spec.clusterIP}", "kube-system");
        ingress_ip = world->field("ing", "{.items[0].status.loadBalancer.ingress[0].ip}");
        before = what_is_there();
    }

    void TearDown() override {
        for (const int pid : stopped) ::kill(pid, SIGCONT);
    }

    // With the workers: what `weft dns` and `weft alb` answer, too.
    void start_traffic(int seconds, bool with_workers) {
        const std::string time = " " + std::to_string(seconds);
        const int limit = seconds + 30;
        traffic.start("long TCP, ClusterIP", in_place(*world, client, traffic_py("tcp-long " + cluster_ip + " 9000" + time)), limit);
        traffic.start("long UDP, ClusterIP", in_place(*world, client, traffic_py("udp-long " + cluster_ip + " 9000" + time)), limit);
        traffic.start("new TCP, ClusterIP", in_place(*world, client, traffic_py("tcp-new " + cluster_ip + " 9000" + time)), limit);
        traffic.start("long TCP, LoadBalancer", on_street(*world, traffic_py("tcp-long " + public_ip + " 9000" + time)), limit);
        traffic.start("new TCP, LoadBalancer", on_street(*world, traffic_py("tcp-new " + public_ip + " 9000" + time)), limit);
        if (!with_workers) return;
        traffic.start("HTTP, Ingress", on_street(*world, traffic_py("http " + ingress_ip + " 80" + time + " shop.example.test")), limit);
        traffic.start("DNS", in_place(*world, client, traffic_py("dns " + dns_ip + " 53" + time + " web.default.svc.cluster.local")), limit);
    }

    void expect_traffic_untouched() {
        for (const Traffic::Result& result : traffic.wait()) {
            printf("%-24s %s\n", result.name.c_str(), result.text.c_str());
            EXPECT_GT(json::find_int(result.counts, {"done"}), 10) << result.name << ": " << result.text;
            for (const char* loss : {"failed", "resets", "refused"})
                EXPECT_EQ(json::find_int(result.counts, {loss}), 0) << result.name << ": " << result.text;
        }
    }

    // From now: the fault has ended.
    void expect_recovery() {
        const MonotonicTime start = system_clock().now();
        EXPECT_EQ(eventually(recovery_s, [&]() -> std::string {
                      if (const Output status = world->weft("status"); !status.ok()) return status.text;
                      const Output written = world->kubectl("annotate ns default weft-faults=" +
                                                            std::to_string(system_clock().now().time_since_epoch().count()) +
                                                            " --overwrite");
                      return written.ok() ? "" : written.text;
                  }),
                  "");
        printf("ready again after %.1f s\n", std::chrono::duration<double>(system_clock().now() - start).count());
    }

    void expect_nothing_changed() {
        std::set<std::string> now;
        EXPECT_EQ(eventually(20, [&]() -> std::string {  // a status that could not be written may take a moment
                      now = what_is_there();
                      std::string difference;
                      for (const std::string& line : before)
                          if (!now.contains(line)) difference += "- " + line + "\n";
                      for (const std::string& line : now)
                          if (!before.contains(line)) difference += "+ " + line + "\n";
                      return difference;
                  }),
                  "");
        const Output events = world->kubectl("get events -A -o jsonpath='{range .items[*]}{.reason}{\"\\n\"}{end}'");
        for (const char* bad : {"NodeNotReady", "Evicted"})
            EXPECT_EQ(events.text.find(bad), std::string::npos) << bad;
    }

    // Every pod's shim is one of ours, too.
    static std::vector<int> pids_of(const std::string& process) {
        if (process != "shim") return {world->pid_of(process)};
        const Output output = run("for p in $(find $(grep ' - cgroup2 ' /proc/self/mountinfo | head -1 | cut -d' ' -f5)/" +
                                  world->instance().cgroup() +
                                  " -name cgroup.procs -exec cat {} +); do tr '\\0' ' ' < /proc/$p/cmdline | grep -q 'weft shim ' && echo $p; done");
        std::vector<int> pids;
        for (const std::string_view line : split(trim(output.text), '\n')) pids.push_back(int(parse_unsigned(line).value_or(0)));
        return pids;
    }

    // Stands still from now until cont() or the end of the test.
    void stop(const std::string& process) {
        for (const int pid : pids_of(process)) {
            ASSERT_GT(pid, 0) << process;
            ASSERT_EQ(::kill(pid, SIGSTOP), 0) << process;
            stopped.insert(pid);
        }
    }
    void cont(const std::string& process) {
        for (const int pid : pids_of(process)) {
            ::kill(pid, SIGCONT);
            stopped.erase(pid);
        }
    }

    PodPlace client;
    std::string cluster_ip, public_ip, dns_ip, ingress_ip;
    std::set<std::string> before;
    std::set<int> stopped;
    Traffic traffic;
};

static std::string agent_metric(const std::string& name) {
    const Output text = run("curl -s --unix-socket " + world->instance().node_run_dir("node-1") + "/agent.health.sock http://localhost/metrics");
    for (const std::string_view line : split(text.text, '\n'))
        if (line.starts_with(name + " ")) return std::string(line.substr(name.size() + 1));
    return "";
}

static void pass(int seconds) { std::this_thread::sleep_for(std::chrono::seconds(seconds)); }

static std::string pod_yaml(const std::string& name) {
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec:\n  terminationGracePeriodSeconds: 0\n"
           "  containers: [{name: web, image: 'echo:demo'}]\n";
}

// What the runtime was told before the API server went, it and the agent carry out: an ADD and a DEL.
TEST_F(Faults, without_an_api_server_traffic_dns_and_the_making_and_ending_of_pods_go_on) {
    ASSERT_TRUE(world->apply(pod_yaml("early")).ok());
    ASSERT_TRUE(world->kubectl("wait --for=condition=Ready pod/early --timeout=20s").ok());
    const std::string early = world->field("pod early", "{.metadata.uid}");
    const std::string early_netns = Instance::netns_path(world->instance().pod_netns(early));
    ASSERT_EQ(::access(early_netns.c_str(), F_OK), 0);

    stop("runtime");
    ASSERT_TRUE(world->kubectl("delete pod early --wait=false").ok());
    const std::string pods_before = agent_metric("weft_pods");
    ASSERT_TRUE(world->apply(pod_yaml("late")).ok());
    ASSERT_EQ(eventually(10, [&] { return world->field("pod late", "{.spec.nodeName}").empty() ? "not bound" : ""; }), "");
    const std::string late = world->field("pod late", "{.metadata.uid}");
    const std::string late_netns = Instance::netns_path(world->instance().pod_netns(late));
    ASSERT_EQ(eventually(10, [&]() -> std::string {
                  const std::string known = agent_metric("weft_pods");
                  return known == std::to_string(parse_unsigned(pods_before).value_or(0) + 1) ? "" : "the agent knows " + known;
              }),
              "");

    stop("supervisor");
    ASSERT_EQ(::kill(world->pid_of("apiserver"), SIGKILL), 0);
    const int seconds = fault_s(8);
    start_traffic(seconds, true);
    cont("runtime");
    EXPECT_EQ(eventually(seconds, [&]() -> std::string {
                  if (::access(early_netns.c_str(), F_OK) == 0) return "early is still there";
                  const Output address = run("nsenter --net=" + late_netns + " ip -4 -o addr show scope global");
                  return address.text.find("inet ") != std::string::npos ? "" : "late has no address: " + address.text;
              }),
              "");
    expect_traffic_untouched();
    EXPECT_FALSE(world->kubectl("get ns --request-timeout=2s", 10).ok()) << "the API server is back too early";
    cont("supervisor");
    expect_recovery();
    EXPECT_TRUE(world->kubectl("wait --for=condition=Ready pod/late --timeout=20s").ok());
    EXPECT_TRUE(world->kubectl("delete pod late --wait").ok());
    expect_nothing_changed();
}

TEST_F(Faults, a_full_disk_refuses_writes_by_name_and_harms_nothing_else) {
    const std::string filler = world->instance().state_dir() + "/filler";
    const int seconds = fault_s(6);
    start_traffic(seconds + 1, true);
    run("dd if=/dev/zero of=" + filler + " bs=64k 2>/dev/null; dd if=/dev/zero bs=1 count=65536 >> " + filler + " 2>/dev/null");
    // The store's own files have some room inside; it ends.
    const std::string file = "/tmp/weft-" + world->instance().name() + "-big.yaml";
    MUST(write_file(file, "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: big-, labels: {big: 'yes'}}\ndata: {x: '" +
                              std::string(900000, 'x') + "'}\n"));
    Output written;
    for (int i = 0; i < 100 && (i == 0 || written.ok()); ++i) written = world->kubectl("create -f " + file);
    printf("%s", written.text.c_str());
    EXPECT_FALSE(written.ok()) << "writes go through on a full disk";
    EXPECT_NE(written.text.find("disk"), std::string::npos) << written.text;
    EXPECT_TRUE(world->kubectl("get pods -A").ok()) << "reading needs no disk";
    expect_traffic_untouched();
    ::unlink(filler.c_str());
    expect_recovery();
    EXPECT_EQ(eventually(recovery_s, [&] { return world->kubectl("create -f " + file).ok() ? "" : "not yet"; }), "");
    EXPECT_TRUE(world->kubectl("delete cm -l big=yes").ok());
    ::unlink(file.c_str());
    expect_nothing_changed();
}

static volatile int64_t* clock_shift = nullptr;

TEST_F(Faults, the_wall_clock_may_jump_by_an_hour_either_way) {
    const int seconds = fault_s(4);
    for (const int64_t shift : {int64_t(3600), int64_t(-3600)}) {
        start_traffic(seconds, true);
        *clock_shift = shift;
        const std::string created = "c" + std::to_string(shift + 3600);
        ASSERT_TRUE(world->kubectl("create configmap " + created).ok());
        const std::string time = world->field("cm " + created, "{.metadata.creationTimestamp}");
        WallTime stamp;
        ASSERT_TRUE(parse_rfc3339(time, stamp)) << time;
        const int64_t off = std::chrono::duration_cast<std::chrono::seconds>(stamp.time_since_epoch()).count() - ::time(nullptr);
        EXPECT_LT(std::abs(off - shift), 600) << "the API server's clock is off by " << off << " s";
        expect_traffic_untouched();
        *clock_shift = 0;
        expect_recovery();
        ASSERT_TRUE(world->kubectl("delete configmap " + created).ok());
        expect_nothing_changed();
    }
}

TEST_F(Faults, processes_that_stand_still_for_ten_seconds_stop_nothing_but_their_own_work) {
    const std::vector<std::vector<std::string>> together = {{"agent", "controller", "keeper", "runtime", "shim", "supervisor"},
                                                            {"apiserver", "alb", "dns"}};
    for (const auto& processes : together) {
        const bool workers_work = processes.front() != "apiserver";
        for (const std::string& process : processes) stop(process);
        start_traffic(10, workers_work);
        pass(10);
        for (const std::string& process : processes) cont(process);
        expect_recovery();
        expect_traffic_untouched();
        expect_nothing_changed();
    }
}

// The instance's data folder on a small file system, and a file that shifts the clock of all its processes.
struct Stage {
    explicit Stage(const Instance& instance) : folder(instance.state_dir()), shift("/tmp/weft-shift-" + instance.name()) {
        MUST(make_directories(folder, 0700));
        ENSURE(::mount("weft-faults", folder.c_str(), "tmpfs", 0, ("mode=0700,size=" + std::string(disk_size)).c_str()) == 0);
        MUST(write_file(shift, std::string(sizeof(int64_t), '\0')));
        const Fd file(::open(shift.c_str(), O_RDWR | O_CLOEXEC));
        void* shared = ::mmap(nullptr, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
        ENSURE(shared != MAP_FAILED);
        clock_shift = static_cast<volatile int64_t*>(shared);
        ::setenv("WEFT_CLOCK_SHIFT", shift.c_str(), 1);
    }
    ~Stage() {
        ::umount2(folder.c_str(), MNT_DETACH);
        ::rmdir(folder.c_str());
        ::unlink(shift.c_str());
    }
    Stage(const Stage&) = delete;

    std::string folder, shift;
};

}  // namespace weft::test

int main(int argc, char** argv) {
    using namespace weft::test;
    testing::InitGoogleTest(&argc, argv);
    const World names;  // the instance's name is this process'
    const Stage stage(names.instance());
    World here;
    world = &here;
    if (const std::string why = here.up(); !why.empty()) {
        std::fprintf(stderr, "up failed: %s\n", why.c_str());
        return 1;
    }
    int result = RUN_ALL_TESTS();
    if (result != 0) std::fprintf(stderr, "%s\n", here.log_tails().c_str());
    // Not purged: the folder is a mount point, and goes with the stage.
    if (const std::string why = here.down(false); !why.empty()) {
        std::fprintf(stderr, "down failed: %s\n", why.c_str());
        result = 1;
    }
    return result;
}
