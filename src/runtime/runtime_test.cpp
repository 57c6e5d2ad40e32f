// Pods from their first look to their end, their logs and exec, and what a restart of the runtime, the shim or the
// machine does to them.
#include "runtime/runtime_fixture.h"

namespace weft::runtime {
namespace {

constexpr const char* echo_spec =
    "containers: [{name: main, image: 'echo:demo', readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}}]";

TEST_F(RuntimeTest, APodRunsBecomesReadyAndIsTakenDownWhenDeleted) {
    start();
    create("web", echo_spec);
    ASSERT_TRUE(is_ready("web")) << json::serialize(pod("web").body());
    EXPECT_EQ(pod("web").string({"status", "phase"}), "Running");
    EXPECT_EQ(pod("web").string({"status", "podIP"}), "127.0.0.1");
    EXPECT_NE(cni_calls().find("ADD uid-web-" + instance_.name() +
                               " IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"),
              std::string::npos);
    EXPECT_TRUE(kernel::Netns::exists(instance_.pod_netns("uid-web-" + instance_.name())));

    ASSERT_TRUE(client_.remove(kube::pods, {"default", "web"}));
    EXPECT_TRUE(becomes_true([&] { return pod("web").name().empty(); }));
    EXPECT_NE(cni_calls().find("DEL uid-web-"), std::string::npos);
    EXPECT_FALSE(kernel::Netns::exists(instance_.pod_netns("uid-web-" + instance_.name())));
    EXPECT_FALSE(fs::exists(instance_.node_run_dir("n1") + "/pods/uid-web-" + instance_.name()));
}

TEST_F(RuntimeTest, EchoAnswersOnItsPortsAndFlagsReplaceThem) {
    start();
    create("web", "containers: [{name: main, image: 'echo:demo', args: ['--http=80', '--tcp=2000-2001'], "
                  "readinessProbe: {tcpSocket: {port: 2001}, periodSeconds: 1}}]");
    ASSERT_TRUE(is_ready("web"));
    const kernel::Netns netns = MUST(kernel::Netns::open(instance_.pod_netns("uid-web-" + instance_.name())));
    const auto connect = [&](uint16_t port) {
        return netns.run(
            [&] { return io::connect_tcp({net::Address::v4(127, 0, 0, 1), port}, std::chrono::seconds(2)); });
    };
    const auto get = [&](const std::string& method, const std::string& target) {
        stream_ = io::plain_stream(MUST(connect(80)));
        http::RequestHead head{.method = method, .target = target};
        head.headers.add("Host", "shop.example.test");
        head.headers.add("X-Test", "1");
        return MUST(http::round_trip(*stream_, head));
    };
    const json::Value body = MUST(json::parse(get("GET", "/cart?a=b").body));
    EXPECT_EQ(json::find_string(body, {"pod"}), "web");
    EXPECT_EQ(json::find_string(body, {"peer"}), "127.0.0.1");
    EXPECT_EQ(json::find_string(body, {"host"}), "shop.example.test");
    EXPECT_EQ(json::find_string(body, {"path"}), "/cart");
    EXPECT_EQ(json::find_string(body, {"query"}), "a=b");
    EXPECT_EQ(json::find_string(body, {"headers", "X-Test"}), "1");
    EXPECT_EQ(get("GET", "/status/418").head.status, 418);
    EXPECT_EQ(get("GET", "/status/x").head.status, 400);
    EXPECT_EQ(get("GET", "/healthz").head.status, 200);
    EXPECT_EQ(get("PUT", "/healthz/503").head.status, 200);
    EXPECT_EQ(get("GET", "/healthz").head.status, 503);
    EXPECT_FALSE(connect(8080));

    const auto stream = io::plain_stream(MUST(connect(2000)));
    ASSERT_TRUE(stream->write("one\ntwo\nhalf"));
    stream->finish_writing();
    std::string answer;
    char buffer[256];
    for (size_t n = 0; (n = MUST(stream->read(buffer))) > 0;) answer.append(buffer, n);
    EXPECT_EQ(answer, "web: one\nweb: two\nweb: half");

    const Fd udp = MUST(netns.run([&]() -> Result<Fd> { return Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }));
    sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(2001), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    ASSERT_EQ(::connect(udp.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    ASSERT_EQ(::send(udp.get(), "hi", 2, 0), 2);
    ASSERT_TRUE(MUST(io::wait_for(udp.get(), POLLIN, std::chrono::seconds(5))) != 0);
    EXPECT_EQ(std::string(buffer, size_t(::recv(udp.get(), buffer, sizeof buffer, 0))), "web: hi");
}

TEST_F(RuntimeTest, TheNodeAndItsLeaseAreRegisteredAndForeignAnnotationsStay) {
    start();
    ASSERT_TRUE(becomes_true(
        [&] { return client_.get(kube::nodes, {"", "n1"}) && client_.get(kube::leases, {"kube-node-lease", "n1"}); }));
    kube::Object node = *client_.get(kube::nodes, {"", "n1"});
    EXPECT_EQ(node.label("topology.kubernetes.io/zone"), "cn-local-a");
    EXPECT_EQ(node.annotation("weft.dev/zones"), "cn-local-a,cn-local-b");
    stop();
    ASSERT_TRUE(client_.patch(
        kube::nodes, {"", "n1"}, kube::PatchType::merge,
        json::Object{{"metadata", json::Object{{"annotations", json::Object{{"weft.dev/host-address", "x"}}},
                                               {"labels", json::Object{{"kubernetes.io/hostname", "wrong"}}}}}}));
    start();
    EXPECT_TRUE(
        becomes_true([&] { return client_.get(kube::nodes, {"", "n1"})->label("kubernetes.io/hostname") == "n1"; }));
    EXPECT_EQ(client_.get(kube::nodes, {"", "n1"})->annotation("weft.dev/host-address"), "x");
}

TEST_F(RuntimeTest, EnvironmentLogsAndExecSeeThePodAsItIs) {
    client_.seed(
        "{apiVersion: weft.dev/v1, kind: VPC, metadata: {name: vpc-demo}, spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20, default: true}}\n---\n"
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: cm}, data: {color: green, SHAPE: round}}\n---\n"
        "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {key: c2VjcmV0}}");
    start();
    create(
        "web",
        "subdomain: sub, containers: [{name: main, image: client, command: [/bin/sh, -c, "
        "'echo $GREETING; echo oops >&2; grep -v ^# /etc/resolv.conf; hostname; exec sleep infinity'], env: ["
        "{name: COLOR, valueFrom: {configMapKeyRef: {name: cm, key: color}}}, {name: S, valueFrom: {secretKeyRef: {name: s, key: key}}},"
        "{name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}},"
        "{name: GREETING, value: '$(COLOR) $(S) $(NS) $(NOPE) $$(S)'}], envFrom: [{configMapRef: {name: cm}, prefix: P_}]}]");
    ASSERT_TRUE(is_ready("web")) << json::serialize(pod("web").body());
    ASSERT_TRUE(becomes_true([&] { return log_of("web").find("web\n") != std::string::npos; })) << log_of("web");
    const std::string log = log_of("web");
    EXPECT_NE(log.find("green secret default $(NOPE) $(S)\n"), std::string::npos) << log;
    EXPECT_NE(
        log.find(
            "nameserver 172.21.0.10\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"),
        std::string::npos)
        << log;
    EXPECT_EQ(log_of("web", "?tailLines=1"), "web\n");
    EXPECT_EQ(log_of("web", "?limitBytes=5"), "green");
    EXPECT_NE(log_of("web", "?timestamps=true&tailLines=1").find("Z web\n"), std::string::npos);
    EXPECT_EQ(ask("/log/default/web/main?tailLines=x").head.status, 422);
    EXPECT_EQ(ask("/log/default/web/other").head.status, 400);
    EXPECT_EQ(ask("/log/default/nobody/main").head.status, 404);

    ExecEnd end = exec(
        "web",
        "stdout=true&stderr=true&command=sh&command=-c&command=echo+$P_SHAPE;echo+e+%3E%262;grep+web+/etc/hosts;exit+3");
    EXPECT_EQ(end.out, "round\n127.0.0.1\tweb.sub.default.svc.cluster.local\tweb\n");
    EXPECT_EQ(end.err, "e\n");
    EXPECT_NE(end.status.find(R"("reason":"ExitCode","message":"3")"), std::string::npos) << end.status;
    end = exec("web", "stdin=true&stdout=true&command=cat", "through and back");
    EXPECT_EQ(end.out, "through and back");
    EXPECT_NE(end.status.find("Success"), std::string::npos);
    end = exec("web", "stdout=true&tty=true&command=tty");
    EXPECT_NE(end.out.find("/dev/pts/"), std::string::npos) << end.out << end.status;
    end = exec("web", "stdout=true&stderr=true&command=/no/such");
    EXPECT_NE(end.status.find(R"("message":"127")"), std::string::npos) << end.status << end.err;
    EXPECT_EQ(ask("/exec/default/web/main?stdout=true", true).head.status, 400);
    EXPECT_EQ(ask("/exec/default/web/main?stdout=true&command=ls").head.status, 400);
}

TEST_F(RuntimeTest, ARestartedRuntimeFindsItsPodsAndReportsWhatEndedMeanwhile) {
    start();
    create("stays", echo_spec);
    create("ends",
           "restartPolicy: Never, containers: [{name: main, image: client, command: [/bin/sh, -c, 'while [ ! -e " +
               folder_ + "/end ]; do sleep 0.05; done; exit 7']}]");
    ASSERT_TRUE(is_ready("stays"));
    ASSERT_TRUE(is_ready("ends"));
    const std::string first_id =
        std::string(json::find_string(container_status("stays"), {"state", "running", "startedAt"}));
    stop();
    ASSERT_TRUE(write_file(folder_ + "/end", ""));
    create("comes", echo_spec);
    const std::string cgroup = instance_.pods_cgroup("n1") + "/uid-ends-" + instance_.name();
    EXPECT_TRUE(becomes_true([&] { return kernel::cgroup_processes(MUST(kernel::find_cgroup2()), cgroup).empty(); }));
    start();
    EXPECT_TRUE(becomes_true([&] { return pod("ends").string({"status", "phase"}) == "Failed"; }));
    EXPECT_EQ(json::find_int(container_status("ends"), {"state", "terminated", "exitCode"}), 7);
    EXPECT_TRUE(is_ready("comes"));
    EXPECT_TRUE(is_ready("stays"));
    EXPECT_EQ(json::find_int(container_status("stays"), {"restartCount"}), 0);
    EXPECT_EQ(json::find_string(container_status("stays"), {"state", "running", "startedAt"}), first_id);
    EXPECT_EQ(cni_calls().find("DEL uid-stays"), std::string::npos);
}

TEST_F(RuntimeTest, ARestartedRuntimeLeavesReadyPodsReady) {
    start();
    create("web",
           "containers: [{name: main, image: client, command: [/bin/sh, -c, 'exec sleep 600'], readinessProbe: {exec: {command: "
           "[/bin/sh, -c, 'while [ -e " + folder_ + "/slow ]; do sleep 0.05; done']}, periodSeconds: 1, timeoutSeconds: 60}}]");
    ASSERT_TRUE(is_ready("web"));
    stop();
    ASSERT_TRUE(write_file(folder_ + "/slow", ""));  // its next answer takes long
    create("comes", echo_spec);
    start();
    ASSERT_TRUE(is_ready("comes"));  // the pods of the first life are taken over by then
    EXPECT_TRUE(condition_is(pod("web"), "Ready", "True"));
    EXPECT_TRUE(json::find_bool(container_status("web"), {"ready"}));
    ASSERT_EQ(::unlink((folder_ + "/slow").c_str()), 0);
}

TEST_F(RuntimeTest, AKilledShimTakesItsProcessesAlongAndTheContainerComesBack) {
    start();
    create("web", echo_spec);
    ASSERT_TRUE(is_ready("web"));
    const std::string uid = "uid-web-" + instance_.name();
    const std::vector<int> programs =
        kernel::cgroup_processes(MUST(kernel::find_cgroup2()), instance_.pods_cgroup("n1") + "/" + uid);
    ASSERT_EQ(programs.size(), 1u);
    const std::string status = *read_file("/proc/" + std::to_string(programs[0]) + "/status");
    const int shim = std::atoi(status.c_str() + status.find("PPid:") + 5);
    ASSERT_NE(read_file("/proc/" + std::to_string(shim) + "/cmdline")->find("shim"), std::string::npos);
    ASSERT_EQ(::kill(shim, SIGKILL), 0);
    EXPECT_TRUE(becomes_true([&] { return json::find_int(container_status("web"), {"restartCount"}) == 1; }));
    EXPECT_TRUE(is_ready("web"));
    EXPECT_EQ(json::find_int(container_status("web"), {"lastState", "terminated", "exitCode"}), 137);
    // Dead, or a zombie that its new parent has not looked at yet.
    const std::string after = read_file("/proc/" + std::to_string(programs[0]) + "/stat").value_or(") Z");
    EXPECT_NE(after.find(") Z"), std::string::npos) << after;
}

TEST_F(RuntimeTest, AfterTheMachineWasRestartedPodsBeginAgainUnderTheirPolicy) {
    const std::string status =
        "status: {phase: Running, containerStatuses: [{name: main, restartCount: 2, state: {running: {startedAt: "
        "'2026-11-25T00:00:00Z'}}}]}}";
    const std::string spec = "spec: {nodeName: n1, containers: [{name: main, image: client}], restartPolicy: ";
    client_.seed("{apiVersion: v1, kind: Pod, metadata: {name: always, uid: uid-always-" + instance_.name() + "}, " +
                 spec + "Always}, " + status +
                 "\n---\n{apiVersion: v1, kind: Pod, metadata: {name: never, uid: uid-never-" + instance_.name() +
                 "}, " + spec + "Never}, " + status);
    start();
    EXPECT_TRUE(is_ready("always"));
    EXPECT_EQ(json::find_int(container_status("always"), {"restartCount"}), 3);
    EXPECT_EQ(json::find_int(container_status("always"), {"lastState", "terminated", "exitCode"}), 137);
    EXPECT_TRUE(becomes_true([&] { return pod("never").string({"status", "phase"}) == "Failed"; }));
    EXPECT_EQ(cni_calls().find("uid-never"), std::string::npos);
}

TEST_F(RuntimeTest, AnUnknownImageIsShownAsKubernetesShowsIt) {
    start();
    create("web", "containers: [{name: main, image: 'nginx:1'}]");
    ASSERT_TRUE(becomes_true(
        [&] { return json::find_string(container_status("web"), {"state", "waiting", "reason"}) == "ErrImagePull"; }));
    EXPECT_EQ(pod("web").string({"status", "phase"}), "Pending");
    bool told = false;
    for (const kube::Object& event : all_events())
        told |= event.string({"reason"}) == "Failed" &&
                event.string({"message"}).find("image \"nginx:1\" is not in the local table") != std::string_view::npos;
    EXPECT_TRUE(told);
    EXPECT_EQ(ask("/log/default/web/main").head.status, 400);
}

TEST_F(RuntimeTest, ACrashingContainerIsRestartedAtOnceThenWithBackOffAndKeepsItsPreviousLog) {
    start();
    create("web", "containers: [{name: main, image: client, command: [/bin/sh, -c, 'echo attempt; exit 3']}]");
    ASSERT_TRUE(becomes_true([&] {
        return json::find_string(container_status("web"), {"state", "waiting", "reason"}) == "CrashLoopBackOff";
    }));
    EXPECT_EQ(json::find_int(container_status("web"), {"lastState", "terminated", "exitCode"}), 3);
    EXPECT_EQ(json::find_int(container_status("web"), {"restartCount"}), 2);
    EXPECT_EQ(log_of("web"), "attempt\n");
    EXPECT_EQ(log_of("web", "?previous=true"), "attempt\n");
}

TEST_F(RuntimeTest, AFailedLivenessProbeRestartsTheContainer) {
    start();
    create(
        "web",
        "terminationGracePeriodSeconds: 1, containers: [{name: main, image: client, command: [/bin/sh, -c, \"trap '' TERM; while :; do sleep 0.1; done\"], "
        "livenessProbe: {tcpSocket: {port: 1}, periodSeconds: 1, failureThreshold: 1, initialDelaySeconds: 1}}]");
    EXPECT_TRUE(becomes_true([&] { return json::find_int(container_status("web"), {"restartCount"}) == 1; }));
    EXPECT_EQ(json::find_int(container_status("web"), {"lastState", "terminated", "exitCode"}), 137);
}

TEST_F(RuntimeTest, AMissingConfigMapHoldsTheContainerUntilItIsThere) {
    start();
    create("web", "containers: [{name: main, image: client, envFrom: [{configMapRef: {name: late}}]}]");
    ASSERT_TRUE(becomes_true([&] {
        return json::find_string(container_status("web"), {"state", "waiting", "reason"}) ==
               "CreateContainerConfigError";
    }));
    EXPECT_EQ(json::find_string(container_status("web"), {"state", "waiting", "message"}),
              "configmap \"late\" not found");
    client_.seed("{apiVersion: v1, kind: ConfigMap, metadata: {name: late}, data: {a: b}}");
    EXPECT_TRUE(is_ready("web"));
}

TEST_F(RuntimeTest, ASandboxThatFailsIsTriedAgainWithAnEvent) {
    ASSERT_TRUE(write_file(folder_ + "/broken", ""));
    start();
    create("web", echo_spec);
    ASSERT_TRUE(becomes_true([&] {
        for (const kube::Object& event : all_events())
            if (event.string({"reason"}) == "FailedCreatePodSandBox") return true;
        return false;
    }));
    ASSERT_EQ(::unlink((folder_ + "/broken").c_str()), 0);
    EXPECT_TRUE(is_ready("web"));
}

TEST_F(RuntimeTest, LogsFollowUntilTheContainerEnds) {
    start();
    create(
        "web",
        "restartPolicy: Never, containers: [{name: main, image: client, command: [/bin/sh, -c, 'echo one; while [ ! -e " +
            folder_ + "/end ]; do sleep 0.05; done; echo two']}]");
    ASSERT_TRUE(is_ready("web"));
    std::jthread ender([&] { EXPECT_TRUE(write_file(folder_ + "/end", "")); });
    EXPECT_EQ(log_of("web", "?follow=true"), "one\ntwo\n");
    EXPECT_TRUE(becomes_true([&] { return pod("web").string({"status", "phase"}) == "Succeeded"; }));
    EXPECT_EQ(log_of("web"), "one\ntwo\n");
}

}  // namespace
}  // namespace weft::runtime

// The runtime starts its own binary for shims and echo; here that is this one.
int main(int argc, char** argv) {
    if (argc > 1 && std::string_view(argv[1]) == "shim") return weft::runtime::shim_main(argc - 1, argv + 1);
    if (argc > 1 && std::string_view(argv[1]) == "echo") return weft::runtime::echo_main(argc - 1, argv + 1);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
