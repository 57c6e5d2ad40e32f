// What a Kubernetes user expects of pods every day, by the real kubectl: volumes that follow their ConfigMap, init containers,
// exec probes, hooks, cp, a terminal, the log of the container before, a rolling restart.
#include <thread>

#include "base/fd.h"
#include "base/strings.h"
#include "support/world_main.h"

namespace weft::test {

static std::string ready(const std::string& pod, int timeout_s = 15) {
    const Output wait = world->kubectl(fmt::format("wait --for=condition=Ready pod/{} --timeout={}s", pod, timeout_s));
    return wait.ok() ? "" : wait.text + world->kubectl("describe pod " + pod).text;
}

static std::string kubectl_program() {
    return fmt::format("env HOME={} KUBECONFIG={} {}", world->instance().run_dir(), world->instance().kubeconfig(), WEFT_KUBECTL);
}

static std::string shell(const std::string& pod, const std::string& command) {
    return world->kubectl("exec " + pod + " -c main -- sh -c '" + command + "'").text;
}

TEST(Pods, volumes_show_configmaps_secrets_the_pod_and_scratch_space) {
    const Output applied = world->apply(R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: green, shape: round}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: s3cret}
---
apiVersion: v1
kind: Pod
metadata: {name: volumes, labels: {app: volumes}}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: keys, secret: {secretName: keys, defaultMode: 0400}}
  - {name: scratch, emptyDir: {}}
  - name: about
    projected:
      sources:
      - {configMap: {name: settings, items: [{key: color, path: in/color}]}}
      - {downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  containers:
  - name: main
    image: client
    volumeMounts:
    - {name: settings, mountPath: /config}
    - {name: settings, mountPath: /app/color.txt, subPath: color}
    - {name: keys, mountPath: /var/keys, readOnly: true}
    - {name: scratch, mountPath: /scratch}
    - {name: about, mountPath: /about}
  - name: beside
    image: client
    volumeMounts:
    - {name: scratch, mountPath: /elsewhere}
)");
    ASSERT_TRUE(applied.ok()) << applied.text;
    ASSERT_EQ(ready("volumes"), "");
    EXPECT_EQ(shell("volumes", "cat /config/color /app/color.txt /var/keys/token /about/in/color"), "greengreens3cretgreen");
    EXPECT_EQ(shell("volumes", "stat -L -c %a /config/color /var/keys/token"), "644\n400\n");
    EXPECT_EQ(shell("volumes", "cat /about/labels"), "app=\"volumes\"");
    EXPECT_NE(shell("volumes", "touch /config/x").find("Read-only file system"), std::string::npos);
    EXPECT_EQ(shell("volumes", "echo hello > /scratch/note"), "");
    EXPECT_EQ(world->kubectl("exec volumes -c beside -- cat /elsewhere/note").text, "hello\n");
    ASSERT_TRUE(world->kubectl("patch configmap settings --type=merge -p '{\"data\":{\"color\":\"blue\",\"size\":\"9\",\"shape\":null}}'").ok());
    EXPECT_EQ(eventually(10, [] {
                  const std::string seen = shell("volumes", "cat /config/color; ls /config");
                  return seen == "bluecolor\nsize\n" ? "" : seen;
              }),
              "");
    EXPECT_EQ(run("ls -d /config /app /scratch /about 2>/dev/null").text, "");  // nothing of it on the machine itself
}

TEST(Pods, a_missing_configmap_is_told_and_waited_for) {
    ASSERT_TRUE(world->apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: waits}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: late, configMap: {name: late}}]
  containers: [{name: main, image: client, volumeMounts: [{name: late, mountPath: /late}]}]
)").ok());
    EXPECT_EQ(eventually(10, [] {
                  const std::string text = world->kubectl("describe pod waits").text;
                  return text.find("configmap \"late\" not found") != std::string::npos &&
                                 text.find("FailedMount") != std::string::npos
                             ? ""
                             : text;
              }),
              "");
    EXPECT_EQ(world->field("pod waits", "{.status.containerStatuses[0].state.waiting.reason}"), "ContainerCreating");
    ASSERT_TRUE(world->apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late}\ndata: {a: b}\n").ok());
    EXPECT_EQ(ready("waits"), "");
}

TEST(Pods, init_containers_run_in_order_and_a_failed_one_is_repeated) {
    ASSERT_TRUE(world->apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: staged}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: w, emptyDir: {medium: Memory}}]
  initContainers:
  - {name: first, image: client, command: [sh, -c, "echo first >> /w/story"], volumeMounts: [{name: w, mountPath: /w}]}
  - name: second
    image: client
    command: [sh, -c, "echo second >> /w/story; echo tried; test $(wc -l < /w/story) = 3"]
    volumeMounts: [{name: w, mountPath: /w}]
  containers: [{name: main, image: client, volumeMounts: [{name: w, mountPath: /w}]}]
)").ok());
    ASSERT_EQ(ready("staged"), "");
    EXPECT_EQ(shell("staged", "cat /w/story"), "first\nsecond\nsecond\n");
    EXPECT_EQ(world->field("pod staged", "{.status.initContainerStatuses[*].restartCount}"), "0 1");
    EXPECT_EQ(world->field("pod staged", "{.status.initContainerStatuses[*].state.terminated.reason}"), "Completed Completed");
    EXPECT_EQ(world->kubectl("logs staged -c second").text, "tried\n");
    EXPECT_EQ(world->kubectl("logs staged -c second --previous").text, "tried\n");
}

TEST(Pods, exec_probes_decide_readiness_and_restart_what_is_stuck) {
    ASSERT_TRUE(world->apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: w, emptyDir: {}}]
  containers:
  - name: main
    image: client
    command: [sh, -c, "echo begun; exec sleep infinity"]
    volumeMounts: [{name: w, mountPath: /w}]
    readinessProbe: {exec: {command: [test, -e, /w/ready]}, periodSeconds: 1, failureThreshold: 1}
    livenessProbe: {exec: {command: [sh, -c, "if rm /w/stuck 2>/dev/null; then echo it hangs; exit 1; fi"]}, periodSeconds: 1, failureThreshold: 1}
)").ok());
    EXPECT_EQ(eventually(10, [] { return world->field("pod probed", "{.status.phase}") == "Running" ? "" : "not running"; }), "");
    EXPECT_EQ(world->field("pod probed", "{.status.containerStatuses[0].ready}"), "false");
    EXPECT_EQ(shell("probed", "touch /w/ready"), "");
    ASSERT_EQ(ready("probed"), "");
    EXPECT_EQ(shell("probed", "touch /w/stuck"), "");
    EXPECT_EQ(eventually(10, [] {
                  const std::string count = world->field("pod probed", "{.status.containerStatuses[0].restartCount}");
                  return count == "1" ? "" : "restarts: " + count;
              }),
              "");
    const std::string events = world->kubectl("describe pod probed").text;
    EXPECT_NE(events.find("Liveness probe failed: it hangs"), std::string::npos) << events;
    EXPECT_NE(events.find("failed liveness probe, will be restarted"), std::string::npos) << events;
    EXPECT_EQ(world->kubectl("logs probed --previous").text, "begun\n");
}

TEST(Pods, hooks_run_after_the_start_and_before_the_end) {
    ASSERT_TRUE(world->apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: hooked}
spec:
  volumes: [{name: w, emptyDir: {}}]
  containers:
  - name: main
    image: client
    command: [bash, -c, "trap 'echo term; exit' TERM; touch /w/log; tail -f /w/log & wait"]
    volumeMounts: [{name: w, mountPath: /w}]
    lifecycle:
      postStart: {exec: {command: [sh, -c, "sleep 0.3; echo postStart >> /w/log"]}}
      preStop: {exec: {command: [sh, -c, "echo preStop >> /w/log; sleep 1"]}}
)").ok());
    ASSERT_EQ(ready("hooked"), "");
    Output log;
    std::thread follower([&] { log = world->kubectl("logs -f hooked", 30); });
    EXPECT_TRUE(world->kubectl("delete pod hooked").ok());
    follower.join();
    EXPECT_EQ(log.text, "postStart\npreStop\nterm\n");
}

TEST(Pods, kubectl_copies_files_both_ways) {
    const std::string here = world->instance().run_dir() + "/cp";
    ASSERT_TRUE(make_directories(here + "/in/deep"));
    ASSERT_TRUE(write_file(here + "/in/deep/file", "to and fro"));
    const Output into = world->kubectl("cp " + here + "/in volumes:/scratch/copied -c main");
    EXPECT_TRUE(into.ok()) << into.text;
    EXPECT_EQ(shell("volumes", "cat /scratch/copied/deep/file"), "to and fro");
    const Output out = world->kubectl("cp volumes:/scratch/copied/deep/file " + here + "/back -c main");
    EXPECT_TRUE(out.ok()) << out.text;
    EXPECT_EQ(read_file(here + "/back").value_or(""), "to and fro");
}

TEST(Pods, a_terminal_has_its_size_and_hears_of_a_new_one) {
    // `script` gives kubectl a terminal; its size is changed while the program in the pod looks.
    const std::string file = world->instance().run_dir() + "/terminal";
    ASSERT_TRUE(write_file(file + ".sh", "stty rows 33 cols 111\nterminal=$(tty)\n(sleep 2; stty rows 44 cols 122 < $terminal) &\n" + kubectl_program() +
                                             " exec -it volumes -c main -- bash -c 'test -t 0 && echo terminal; sleep 1; stty size; sleep 3; stty size; exit 5'\n"
                                             "echo status $?\n"));
    const Output seen = run("script -qec 'sh " + file + ".sh' /dev/null < /dev/null", 30);
    for (const char* part : {"terminal", "33 111", "44 122", "status 5"})
        EXPECT_NE(seen.text.find(part), std::string::npos) << part << " is missing in\n" << seen.text;
}

TEST(Pods, a_rolling_restart_replaces_every_pod) {
    const std::string before = world->field("pods -l app=web", "{.items[*].metadata.uid}");
    ASSERT_TRUE(world->kubectl("rollout restart deployment/web").ok());
    const Output status = world->kubectl("rollout status deployment/web --timeout=30s", 40);
    EXPECT_TRUE(status.ok()) << status.text;
    EXPECT_EQ(eventually(15, [&] {
                  const std::string now = world->field("pods -l app=web", "{.items[*].metadata.uid}");
                  for (const std::string_view uid : split(before, ' '))
                      if (now.find(uid) != std::string::npos) return "still there: " + std::string(uid);
                  return std::string();
              }),
              "");
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv); }
