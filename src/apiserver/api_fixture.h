// ApiFixture: an API server without sockets for tests: a store in a folder of its own, one token per role, requests as
// function calls. Header-only, used by *_test.cpp. Threads: one per fixture.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>

#include "apiserver/api.h"
#include "base/fd.h"
#include "base/rng.h"

namespace weft::apiserver {

struct Answer {
    int status = 0;
    std::string content_type, text;
    json::Value body;
    std::vector<std::pair<std::string, std::string>> headers;

    std::string_view string(json::Path path) const { return json::find_string(body, path); }
    std::string_view reason() const { return string({"reason"}); }
    std::string_view message() const { return string({"message"}); }
    std::string_view revision() const { return string({"metadata", "resourceVersion"}); }
    std::string_view name() const { return string({"metadata", "name"}); }
    std::string header(std::string_view name) const {
        for (const auto& [key, value] : headers)
            if (key == name) return value;
        return {};
    }
};

struct Ask {
    std::string body, content_type = "application/json", accept, role = "root", user_agent = "test", if_none_match;
};

class ApiFixture : public testing::Test {
protected:
    ApiFixture() : dir_("/tmp/weft-api-test-" + std::to_string(getpid()) + "-" + random_hex(4)) {
        EXPECT_TRUE(make_directories(dir_));
        open();
    }

    ~ApiFixture() override {
        api_.reset();
        log_.reset();
        EXPECT_TRUE(remove_tree(dir_));
    }

    void open() {
        api_.reset();
        log_.reset();
        auto log = store::Log::open({.path = dir_ + "/store.db", .background = false});
        ASSERT_TRUE(log) << log.error().message;
        log_ = std::move(*log);
        std::map<std::string, std::string> tokens;
        for (const char* role : {"root", "up", "agent", "controller", "runtime", "alb", "dns"})
            tokens[role] = std::string(role) + "-token";
        auto api = Api::open(*log_, Tokens(std::move(tokens)), instance_);
        ASSERT_TRUE(api) << api.error().message;
        api_ = std::move(*api);
    }

    // "GET /api/v1/pods?limit=1"
    Reply raw(std::string_view request, const Ask& ask = {}) {
        const size_t space = request.find(' ');
        std::string_view path = request.substr(space + 1), query;
        if (const size_t mark = path.find('?'); mark != std::string_view::npos) {
            query = path.substr(mark + 1);
            path = path.substr(0, mark);
        }
        auto call = Call::parse(request.substr(0, space), path, query);
        if (!call) return failure_reply_of(call.error());
        call->body = ask.body;
        call->content_type = ask.content_type;
        call->accept = ask.accept;
        call->user_agent = ask.user_agent;
        call->if_none_match = ask.if_none_match;
        if (!ask.role.empty()) call->authorization = "Bearer " + ask.role + "-token";
        return api_->answer(*call);
    }

    Answer send(std::string_view request, const Ask& ask = {}) {
        Reply reply = raw(request, ask);
        Answer answer{reply.status, reply.content_type, reply.body, {}, reply.headers};
        if (auto parsed = json::parse(reply.body)) answer.body = std::move(*parsed);
        return answer;
    }

    Answer get(std::string_view path, std::string accept = {}) {
        return send("GET " + std::string(path), {.accept = std::move(accept)});
    }
    Answer post(std::string_view path, std::string body) {
        return send("POST " + std::string(path), {.body = std::move(body)});
    }
    Answer put(std::string_view path, std::string body) {
        return send("PUT " + std::string(path), {.body = std::move(body)});
    }
    Answer remove(std::string_view path, std::string body = {}) {
        return send("DELETE " + std::string(path), {.body = std::move(body)});
    }
    Answer merge(std::string_view path, std::string body) {
        return send("PATCH " + std::string(path),
                    {.body = std::move(body), .content_type = "application/merge-patch+json"});
    }

    static std::string config_map(std::string_view name, std::string_view more = {}) {
        return fmt::format(
            R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{}"{}}},"data":{{"a":"1"}}}})", name, more);
    }
    static std::string pod(std::string_view name, std::string_view node = {}) {
        return fmt::format(
            R"({{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{}","labels":{{"app":"{}"}}}},"spec":{{)"
            R"("nodeName":"{}","containers":[{{"name":"main","image":"echo:demo"}}]}}}})",
            name, name, node);
    }

    static constexpr std::string_view maps = "/api/v1/namespaces/default/configmaps";
    static constexpr std::string_view pods = "/api/v1/namespaces/default/pods";

    static Reply failure_reply_of(const Failure& failure) {
        return Reply::text(failure.code(), failure.refusal.message);
    }

    const std::string dir_;
    const Instance instance_ = *Instance::parse("a" + std::to_string(getpid() % 10'000'000));
    std::unique_ptr<store::Log> log_;
    std::unique_ptr<Api> api_;
};

inline std::string path_of(std::string_view collection, std::string_view name) {
    return fmt::format("{}/{}", collection, name);
}

// Collects a watch's lines; stops the stream by saying that the client is gone after `lines_max`.
class CollectingSink final : public Sink {
public:
    explicit CollectingSink(size_t lines_max) : lines_max_(lines_max) {}

    bool write(std::string_view data) override {
        buffer_ += data;
        while (true) {
            const size_t end = buffer_.find('\n');
            if (end == std::string::npos) break;
            auto event = json::parse(std::string_view(buffer_).substr(0, end));
            buffer_.erase(0, end + 1);
            EXPECT_TRUE(event);
            if (event) events_.push_back(std::move(*event));
        }
        return events_.size() < lines_max_;
    }
    bool gone() override { return events_.size() >= lines_max_; }
    std::stop_token stop() const override { return {}; }

    // "ADDED a", "BOOKMARK"
    std::vector<std::string> lines() const {
        std::vector<std::string> all;
        for (const json::Value& event : events_) {
            std::string line(json::find_string(event, {"type"}));
            const std::string_view name = json::find_string(event, {"object", "metadata", "name"});
            if (!name.empty()) line += " " + std::string(name);
            all.push_back(std::move(line));
        }
        return all;
    }
    const std::vector<json::Value>& events() const { return events_; }

private:
    const size_t lines_max_;
    std::string buffer_;
    std::vector<json::Value> events_;
};

}  // namespace weft::apiserver
