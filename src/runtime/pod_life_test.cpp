// What a pod's spec promises beyond a running program: volumes, init containers, exec probes, hooks, readiness gates.
#include "runtime/runtime_fixture.h"

namespace weft::runtime {
namespace {

TEST_F(RuntimeTest, VolumesStandWhereTheRootHasNothingAndFollowTheirConfigMap) {
    client_.seed("{apiVersion: v1, kind: ConfigMap, metadata: {name: cm}, data: {color: green}}");
    start();
    create("web",
           "volumes: [{name: c, configMap: {name: cm}}, {name: d, emptyDir: {}}, {name: s, secret: {secretName: late}}], "
           "initContainers: [{name: init, image: client, command: [/bin/sh, -c, 'echo made > /weft-d/file'], "
           "volumeMounts: [{name: d, mountPath: /weft-d, subPath: in}]}], "
           "containers: [{name: main, image: client, volumeMounts: [{name: c, mountPath: /weft-a/b/conf}, "
           "{name: d, mountPath: /weft-d}, {name: c, mountPath: /etc/weft-color, subPath: color}, {name: s, mountPath: /weft-d/s}]}]");
    // Held by a Secret that is not there yet.
    ASSERT_TRUE(becomes_true([&] { return has_event("FailedMount", "secret \"late\" not found"); }));
    client_.seed("{apiVersion: v1, kind: Secret, metadata: {name: late}, data: {key: c2VjcmV0}}");
    ASSERT_TRUE(is_ready("web")) << json::serialize(pod("web").body());
    const auto shell = [&](const std::string& command) { return exec("web", "stdout=true&command=sh&command=-c&command=" + command).out; };
    EXPECT_EQ(shell("cat+/weft-a/b/conf/color+/weft-d/in/file+/etc/weft-color+/weft-d/s/key"), "greenmade\ngreensecret");
    EXPECT_EQ(shell("touch+/weft-a/b/conf/x+2>/dev/null+||+echo+read-only"), "read-only\n");
    EXPECT_EQ(shell("touch+/weft-d/y+%26%26+ls+/weft-d"), "in\ns\ny\n");
    EXPECT_NE(shell("ls+/").find("proc\n"), std::string::npos);
    for (const char* path : {"/weft-a", "/weft-d", "/etc/weft-color"}) EXPECT_FALSE(fs::exists(path)) << path;
    ASSERT_TRUE(client_.patch(kube::config_maps, {"default", "cm"}, kube::PatchType::merge,
                              json::Object{{"data", json::Object{{"color", "blue"}}}}));
    EXPECT_TRUE(becomes_true([&] { return shell("cat+/weft-a/b/conf/color") == "blue"; }));
    EXPECT_EQ(shell("cat+/etc/weft-color"), "green");  // a subPath stays, as in Kubernetes
}

TEST_F(RuntimeTest, InitContainersRunInOrderAndAFailedOneIsRepeated) {
    start();
    const std::string once = "[ -e /w/b ] || { touch /w/b; exit 1; }";
    create("web",
           "volumes: [{name: w, emptyDir: {medium: Memory}}], initContainers: ["
           "{name: a, image: client, command: [/bin/sh, -c, 'touch /w/a'], volumeMounts: [{name: w, mountPath: /w}]}, "
           "{name: b, image: client, command: [/bin/sh, -c, '[ -e /w/a ] || exit 9; " + once + "'], volumeMounts: [{name: w, mountPath: /w}]}], "
           "containers: [{name: main, image: client, command: [/bin/sh, -c, '[ -e /w/b ] && exec sleep infinity'], volumeMounts: [{name: w, mountPath: /w}]}, "
           "{name: other, image: client}]");
    ASSERT_TRUE(is_ready("web")) << json::serialize(pod("web").body());
    const kube::Object object = pod("web");
    const json::Array& statuses = object.array({"status", "initContainerStatuses"});
    ASSERT_EQ(statuses.size(), 2u);
    EXPECT_EQ(json::find_int(statuses[0], {"restartCount"}), 0);
    EXPECT_EQ(json::find_string(statuses[0], {"state", "terminated", "reason"}), "Completed");
    EXPECT_EQ(json::find_int(statuses[1], {"restartCount"}), 1);
    EXPECT_EQ(json::find_int(statuses[1], {"lastState", "terminated", "exitCode"}), 1);
    EXPECT_TRUE(condition_is(object, "Initialized", "True"));
    EXPECT_EQ(object.array({"status", "containerStatuses"}).size(), 2u);
}

TEST_F(RuntimeTest, ExecProbesDecideReadinessAndRestartWhatIsStuck) {
    start();
    create("web",
           "terminationGracePeriodSeconds: 1, volumes: [{name: w, emptyDir: {}}], containers: [{name: main, image: client, "
           "volumeMounts: [{name: w, mountPath: /w}], "
           "readinessProbe: {exec: {command: [test, -e, /w/ready]}, periodSeconds: 1, failureThreshold: 1}, "
           "livenessProbe: {exec: {command: [sh, -c, 'if [ -e /w/stuck ]; then rm /w/stuck; echo it hangs; sleep 9; fi']}, periodSeconds: 1, failureThreshold: 1}}]");
    ASSERT_TRUE(becomes_true([&] { return has_event("Unhealthy", "Readiness probe failed"); }));
    EXPECT_FALSE(condition_is(pod("web"), "Ready", "True"));
    EXPECT_EQ(exec("web", "stdout=true&command=touch&command=/w/ready").out, "");
    ASSERT_TRUE(is_ready("web"));
    EXPECT_EQ(exec("web", "stdout=true&command=touch&command=/w/stuck").out, "");
    EXPECT_TRUE(becomes_true([&] { return json::find_int(container_status("web"), {"restartCount"}) == 1; }));
    EXPECT_TRUE(has_event("Unhealthy", "Liveness probe failed: command timed out after 1s"));
    EXPECT_TRUE(has_event("Killing", "Container main failed liveness probe, will be restarted"));
}

TEST_F(RuntimeTest, HooksRunAfterTheStartAndBeforeTheEnd) {
    start();
    create("web",
           "volumes: [{name: w, emptyDir: {}}], containers: [{name: main, image: client, "
           "command: [/bin/sh, -c, \"trap 'echo term >> " + folder_ + "/story; exit 0' TERM; while :; do sleep 0.05; done\"], "
           "lifecycle: {postStart: {exec: {command: [sh, -c, 'sleep 0.3; echo started >> " + folder_ + "/story']}}, "
           "preStop: {exec: {command: [sh, -c, 'sleep 0.3; echo stopping >> " + folder_ + "/story']}}}}]");
    ASSERT_TRUE(is_ready("web"));
    const auto story = [&] { return read_file(folder_ + "/story").value_or(""); };
    EXPECT_EQ(story(), "started\n");
    ASSERT_TRUE(client_.remove(kube::pods, {"default", "web"}));
    EXPECT_TRUE(becomes_true([&] { return pod("web").name().empty(); }));
    EXPECT_EQ(story(), "started\nstopping\nterm\n");
    EXPECT_TRUE(has_event("Killing", "Stopping container main"));
}

TEST_F(RuntimeTest, ASleepingHookWaitsAndOneThatOutlastsTheGraceIsCutOff) {
    start();
    create("sleeps", "containers: [{name: main, image: client, lifecycle: {preStop: {sleep: {seconds: 1}}}}]");
    create("hangs", "terminationGracePeriodSeconds: 1, containers: [{name: main, image: client, "
                    "lifecycle: {preStop: {exec: {command: [sleep, '60']}}}}]");
    create("fails", "restartPolicy: Never, containers: [{name: main, image: client, lifecycle: {postStart: {exec: {command: ['false']}}}}]");
    ASSERT_TRUE(is_ready("sleeps"));
    ASSERT_TRUE(is_ready("hangs"));
    EXPECT_TRUE(becomes_true([&] { return has_event("FailedPostStartHook", "exit code 1"); }));
    EXPECT_TRUE(becomes_true([&] { return pod("fails").string({"status", "phase"}) == "Failed"; }));
    const MonotonicTime begin = system_clock().now();
    for (const char* name : {"sleeps", "hangs"}) ASSERT_TRUE(client_.remove(kube::pods, {"default", name}));
    EXPECT_TRUE(becomes_true([&] { return pod("sleeps").name().empty() && pod("hangs").name().empty(); }));
    const Duration took = system_clock().now() - begin;
    EXPECT_GE(took, std::chrono::seconds(1));
    EXPECT_LT(took, std::chrono::seconds(8));
}

TEST_F(RuntimeTest, ARestartedRuntimeRepeatsNeitherInitContainersNorHooksNorVolumes) {
    client_.seed("{apiVersion: v1, kind: ConfigMap, metadata: {name: cm}, data: {a: one}}");
    start();
    create("web",
           "terminationGracePeriodSeconds: 9, volumes: [{name: w, emptyDir: {}}, {name: c, configMap: {name: cm}}], "
           "initContainers: [{name: i, image: client, command: [sh, -c, 'echo init >> /w/story'], volumeMounts: [{name: w, mountPath: /w}]}], "
           "containers: [{name: main, image: client, volumeMounts: [{name: w, mountPath: /w}, {name: c, mountPath: /c}], "
           "lifecycle: {postStart: {exec: {command: [sh, -c, 'echo post >> /w/story']}}, preStop: {exec: {command: [sleep, '30']}}}}]");
    ASSERT_TRUE(is_ready("web")) << json::serialize(pod("web").body());
    const auto shell = [&](const std::string& command) { return exec("web", "stdout=true&command=sh&command=-c&command=" + command).out; };
    const std::string before = shell("cat+/w/story;readlink+/c/..data");
    EXPECT_EQ(before, "init\npost\n..1\n");
    stop();
    start();
    ASSERT_TRUE(becomes_true([&] { return io::connect_unix(instance_.runtime_socket("n1")).has_value(); }));
    ASSERT_TRUE(becomes_true([&] { return ask("/log/default/web/main").head.status == 200; }));
    ASSERT_TRUE(client_.patch(kube::config_maps, {"default", "cm"}, kube::PatchType::merge,
                              json::Object{{"data", json::Object{{"b", "two"}}}}));
    EXPECT_TRUE(becomes_true([&] { return shell("cat+/c/b") == "two"; }));
    EXPECT_EQ(shell("cat+/w/story;readlink+/c/..data"), "init\npost\n..2\n");
    // A hook under way does not hold up the runtime's own end.
    ASSERT_TRUE(client_.remove(kube::pods, {"default", "web"}));
    ASSERT_TRUE(becomes_true([&] { return has_event("Killing", "Stopping container main"); }));
    const MonotonicTime begin = system_clock().now();
    stop();
    EXPECT_LT(system_clock().now() - begin, std::chrono::seconds(5));
}

TEST_F(RuntimeTest, AReadinessGateHoldsThePodUntilItsConditionIsTrue) {
    start();
    create("web", "readinessGates: [{conditionType: example.test/open}], containers: [{name: main, image: client}]");
    ASSERT_TRUE(becomes_true([&] { return condition_is(pod("web"), "ContainersReady", "True"); }));
    EXPECT_EQ(find_condition(pod("web"), "Ready") != nullptr, true);
    EXPECT_FALSE(condition_is(pod("web"), "Ready", "True"));
    for (bool written = false; !written;) {
        kube::Object object = pod("web");
        set_condition(object, "example.test/open", true, "", "");
        written = client_.update_status(kube::pods, object).has_value();
    }
    EXPECT_TRUE(is_ready("web"));
}

}  // namespace
}  // namespace weft::runtime
