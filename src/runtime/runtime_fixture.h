// RuntimeTest: the runtime as a whole, as root: a fake API server, a stand-in for weft-cni that gives every pod
// 127.0.0.1, and real shims, namespaces and processes. The test binary plays `weft shim` and `weft echo` (main() in
// runtime_test.cpp). All that a test makes carries its process id and is taken away in the end, also after a failure.
#pragma once
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/log.h"
#include "base/strings.h"
#include "http/client.h"
#include "http/websocket.h"
#include "io/socket.h"
#include "kernel/cgroup.h"
#include "kernel/netns.h"
#include "kube/fake_client.h"
#include "runtime/launch.h"
#include "runtime/main.h"
#include "runtime/shim.h"

namespace weft::runtime {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

inline constexpr std::string_view cni_stand_in = R"(#!/bin/sh
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_ARGS" >> "$(dirname "$0")/calls"
[ -e "$(dirname "$0")/broken" ] && { echo '{"code":11,"msg":"try again"}'; exit 1; }
[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion":"1.0.0","ips":[{"address":"127.0.0.1/32"}]}'
exit 0
)";

class RuntimeTest : public testing::Test {
protected:
    RuntimeTest() : instance_(MUST(Instance::parse("rt" + std::to_string(getpid())))) {
        folder_ = "/tmp/weft-" + instance_.name();
        EXPECT_TRUE(make_directories(folder_, 0700));
        EXPECT_TRUE(write_file(folder_ + "/weft-cni", cni_stand_in, 0755));
        client_.seed("{apiVersion: v1, kind: Namespace, metadata: {name: default}}");
    }

    ~RuntimeTest() override {
        stop();
        const std::string pods = instance_.node_run_dir("n1") + "/pods";
        std::error_code error;
        for (const auto& entry : fs::directory_iterator(pods, error)) quit_shim(entry.path().string());
        const std::string mount = MUST(kernel::find_cgroup2());
        EXPECT_TRUE(kernel::kill_cgroup(mount, instance_.cgroup()));
        EXPECT_TRUE(kernel::remove_cgroup(mount, instance_.cgroup()));
        for (const std::string& name : MUST(kernel::Netns::list()))
            if (name.starts_with("weft-" + instance_.name() + "-")) {
                EXPECT_TRUE(kernel::Netns::remove(name));
            }
        EXPECT_TRUE(remove_tree(instance_.run_dir()));
        EXPECT_TRUE(remove_tree(instance_.state_dir()));
        EXPECT_TRUE(remove_tree(folder_));
    }

    void start() {
        Options options{.instance = instance_,
                        .node = "n1",
                        .zone = "cn-local-a,cn-local-b",
                        .cni_binary = folder_ + "/weft-cni",
                        .self_binary = fs::read_symlink("/proc/self/exe").string(),
                        .api = {}};
        thread_ = std::jthread([this, options](std::stop_token stop) {
            const Status status = run_with(client_, options, stop, request_token_);
            EXPECT_TRUE(status) << status.error().message;
        });
    }

    void stop() {
        if (!thread_.joinable()) return;
        thread_.request_stop();
        thread_.join();
    }

    kube::Object pod(const std::string& name) {
        const Result<kube::Object> found = client_.get(kube::pods, {"default", name});
        return found ? *found : kube::Object();
    }

    template <class Fact>
    bool becomes_true(Fact fact) {
        for (int i = 0; i < 1500; i++) {
            if (fact()) return true;
            std::this_thread::sleep_for(milliseconds(10));
        }
        return false;
    }

    bool is_ready(const std::string& name) {
        return becomes_true([&] { return condition_is(pod(name), "Ready", "True"); });
    }

    json::Value container_status(const std::string& name) {
        const kube::Object object = pod(name);
        const json::Array& statuses = object.array({"status", "containerStatuses"});
        return statuses.empty() ? json::Value() : statuses[0];
    }

    http::Response ask(const std::string& target, bool upgrade = false) {
        Result<Fd> connected = fail(Code::unavailable, "never tried");
        becomes_true([&] {  // a runtime that has just begun does not listen yet
            connected = io::connect_unix(instance_.runtime_socket("n1"));
            return connected.has_value();
        });
        stream_ = io::plain_stream(MUST(std::move(connected)));
        http::RequestHead head{.method = "GET", .target = target};
        head.headers.add("Host", "localhost");
        if (upgrade) {
            http::ClientUpgrade request = http::upgrade_request("localhost", target, {"v5.channel.k8s.io"});
            return MUST(http::round_trip(*stream_, request.head));
        }
        return MUST(http::round_trip(*stream_, head));
    }

    std::string log_of(const std::string& pod, const std::string& query = "") {
        return ask("/log/default/" + pod + "/main" + query).body;
    }

    struct ExecEnd {
        std::string out, err, status;
    };
    ExecEnd exec(const std::string& pod, const std::string& query, std::string_view input = {}) {
        http::Response reply = ask("/exec/default/" + pod + "/main?" + query, true);
        EXPECT_EQ(reply.head.status, 101) << reply.body;
        http::WebSocket socket(*stream_, http::Side::client, std::move(reply.early));
        if (!input.empty()) {
            EXPECT_TRUE(socket.send(http::Opcode::binary, std::string(1, '\0') + std::string(input)));
            EXPECT_TRUE(socket.send(http::Opcode::binary, std::string_view("\377\0", 2)));
        }
        ExecEnd end;
        for (;;) {
            const auto message = socket.receive();
            if (!message || message->opcode == http::Opcode::close) return end;
            const std::string bytes = message->payload.substr(1);
            (message->payload[0] == 1 ? end.out : message->payload[0] == 2 ? end.err : end.status) += bytes;
        }
    }

    std::vector<kube::Object> all_events() { return client_.list(kube::events)->items; }

    bool has_event(std::string_view reason, std::string_view part) {
        for (const kube::Object& event : all_events())
            if (event.string({"reason"}) == reason && event.string({"message"}).find(part) != std::string_view::npos)
                return true;
        return false;
    }

    std::string cni_calls() { return read_file(folder_ + "/calls").value_or(""); }

    void create(const std::string& name, const std::string& spec) {
        client_.seed("{apiVersion: v1, kind: Pod, metadata: {name: " + name + ", uid: uid-" + name + "-" +
                     instance_.name() + "}, spec: {nodeName: n1, " + spec + "}}");
    }

    Instance instance_;
    std::string folder_;
    kube::FakeClient client_;
    RequestToken request_token_;
    std::unique_ptr<io::Stream> stream_;
    std::jthread thread_;
};

}  // namespace weft::runtime
