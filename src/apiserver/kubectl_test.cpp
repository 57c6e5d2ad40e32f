// A real kubectl against a real server on a loopback port of a temporary instance (spec/kubernetes.md §10).
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "apiserver/main.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/strings.h"

namespace weft::apiserver {
namespace {

class KubectlTest : public testing::Test {
protected:
    KubectlTest() : instance_(*Instance::parse("k" + std::to_string(getpid() % 10'000'000))) {
        wipe();
        const MonotonicTime begin = system_clock().now();
        server_ = std::jthread([this](std::stop_token stop) {
            const Status done = run({.instance = instance_}, stop);
            EXPECT_TRUE(done) << done.error().message;
        });
        const MonotonicTime end = begin + Duration(std::chrono::seconds(20));
        while (access((instance_.run_dir() + "/apiserver.health.sock").c_str(), F_OK) != 0 &&
               system_clock().now() < end)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        printf("ready after %ld ms\n", long((system_clock().now() - begin) / std::chrono::milliseconds(1)));
    }

    ~KubectlTest() override {
        server_.request_stop();
        server_.join();
        wipe();
    }

    void wipe() {
        EXPECT_TRUE(remove_tree(instance_.state_dir()));
        EXPECT_TRUE(remove_tree(instance_.run_dir()));
    }

    struct Output {
        int exit_code = -1;
        std::string text;
    };

    // `input` is fed to standard input; arguments are a shell's.
    Output kubectl(const std::string& arguments, const std::string& input = {}) {
        const std::string file = fmt::format("{}/input-{}.yaml", instance_.state_dir(), runs_++);
        EXPECT_TRUE(write_file(file, input));
        // Caches stay inside the instance's own folder.
        const std::string command =
            fmt::format("KUBECONFIG={} HOME={} timeout 60 kubectl --cache-dir={}/cache {} <{} 2>&1",
                        instance_.kubeconfig(), instance_.state_dir(), instance_.state_dir(), arguments, file);
        Output output;
        FILE* pipe = popen(command.c_str(), "r");
        if (pipe == nullptr) return output;
        char buffer[4096];
        while (const size_t size = fread(buffer, 1, sizeof buffer, pipe)) output.text.append(buffer, size);
        const int status = pclose(pipe);
        output.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        return output;
    }

    void expect(const std::string& arguments, std::string_view contains, const std::string& input = {}) {
        const Output output = kubectl(arguments, input);
        EXPECT_EQ(output.exit_code, 0) << "kubectl " << arguments << "\n" << output.text;
        EXPECT_NE(output.text.find(contains), std::string::npos) << "kubectl " << arguments << "\n" << output.text;
    }

    const Instance instance_;
    std::atomic<int> runs_{0};
    std::jthread server_;
};

constexpr const char* other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {a: '1'}\n";

constexpr const char* deployment = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: "echo:demo", ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
)";

TEST_F(KubectlTest, the_daily_commands_work) {
    expect("version", "Server Version: v1.36.0+weft");
    expect("api-resources", "deployments");
    expect("api-resources --api-group=weft.dev", "vpcs");
    expect("get ns", "kube-system");
    expect("apply -f -", "deployment.apps/web created", deployment);
    expect("apply -f -", "deployment.apps/web unchanged", deployment);
    std::string changed = deployment;
    changed.replace(changed.find("replicas: 2"), 11, "replicas: 3");
    changed.replace(changed.find("blue"), 4, "red");
    expect("apply -f -", "deployment.apps/web configured", changed);
    expect("get configmap settings -o jsonpath={.data.colour}", "red");
    expect("get deploy", "web");
    expect("get deploy web -o wide", "echo:demo");
    expect("get deploy web -o yaml", "replicas: 3");
    expect("get deploy,cm -o name", "deployment.apps/web");
    expect("get deploy -A -o json", "\"kind\": \"List\"");
    expect("describe deploy web", "app=web");
    expect("scale deploy web --replicas=5", "scaled");
    expect("get deploy web -o jsonpath={.spec.replicas}", "5");
    expect("label cm settings team=net", "labeled");
    expect("annotate cm settings note=hello", "annotated");
    expect("get cm -l team=net", "settings");
    expect("patch cm settings -p '{\"data\":{\"size\":\"1\"}}'", "patched");
    expect("create --save-config -f -", "configmap/other created", other);
    expect("create cm typed --from-literal=a=1", "configmap/typed created");  // by protobuf
    expect("explain deploy.spec.replicas", "replicas");
    expect("diff -f -", "", other);
    expect("delete cm other", "deleted");
    expect("wait --for=delete cm/other --timeout=5s", "");
    expect("wait --for=jsonpath={.spec.replicas}=5 deploy/web --timeout=10s", "condition met");
    expect("get --raw /readyz", "ok");
    expect("delete deploy web", "deleted");
    const Output refused =
        kubectl("apply -f -", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndatum: {a: '1'}\n");
    EXPECT_NE(refused.exit_code, 0);
    EXPECT_NE(refused.text.find("unknown field \"datum\""), std::string::npos) << refused.text;
    const Output missing = kubectl("get cm nothing");
    EXPECT_NE(missing.text.find("Error from server (NotFound): configmaps \"nothing\" not found"), std::string::npos)
        << missing.text;
}

TEST_F(KubectlTest, a_watch_shows_changes_as_they_come) {
    Output watched;
    std::jthread watcher([&] { watched = kubectl("get cm -w --request-timeout=8s --output-watch-events"); });
    for (int i = 0; i < 4; i++) {
        expect("create -f -", "created", other);
        expect("delete cm other", "deleted");
    }
    watcher.join();
    EXPECT_NE(watched.text.find("ADDED"), std::string::npos) << watched.text;
    EXPECT_NE(watched.text.find("DELETED"), std::string::npos) << watched.text;
}

}  // namespace
}  // namespace weft::apiserver
