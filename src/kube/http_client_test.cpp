#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/strings.h"
#include "kube/client.h"

namespace weft::kube {
namespace {

// A server on a unix socket that answers each request with the next of its scripted byte strings and notes what it got.
class ScriptedServer {
public:
    explicit ScriptedServer(std::vector<std::string> replies) : replies_(std::move(replies)) {
        char folder[] = "/tmp/weft-kube-XXXXXX";
        folder_ = mkdtemp(folder);
        listener_ = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{.sun_family = AF_UNIX};
        std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
        EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(listen(listener_.get(), 8), 0);
        thread_ = std::jthread([this](std::stop_token stop) { serve(stop); });
    }

    ~ScriptedServer() {
        thread_.request_stop();
        thread_.join();
        (void)remove_tree(folder_);
    }

    std::string path() const { return folder_ + "/api.sock"; }
    Endpoint endpoint() const { return {.unix_socket = path(), .token = "secret"}; }

    std::vector<std::string> requests() {
        const std::lock_guard lock(mutex_);
        return requests_;
    }

    // Connections that the client closed.
    std::atomic<int> closed{0};

private:
    bool readable(int fd, const std::stop_token& stop) {
        pollfd wait{fd, POLLIN, 0};
        while (!stop.stop_requested())
            if (poll(&wait, 1, 20) > 0) return true;
        return false;
    }

    void serve(std::stop_token stop) {
        std::vector<std::jthread> connections;
        while (readable(listener_.get(), stop)) {
            const int peer = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
            connections.emplace_back([this, peer, stop] { serve_one(Fd(peer), stop); });
        }
    }

    void serve_one(Fd peer, std::stop_token stop) {
        std::string input;
        char buffer[4096];
        while (readable(peer.get(), stop)) {
            const ssize_t n = recv(peer.get(), buffer, sizeof buffer, 0);
            if (n <= 0) {
                closed++;
                return;
            }
            input.append(buffer, size_t(n));
            const size_t head = input.find("\r\n\r\n");
            if (head == std::string::npos) continue;
            const size_t length = input.find("Content-Length: ");
            const size_t body = length < head ? std::stoul(input.substr(length + 16)) : 0;
            if (input.size() < head + 4 + body) continue;
            std::string reply;
            {
                const std::lock_guard lock(mutex_);
                requests_.push_back(std::exchange(input, ""));
                if (next_ < replies_.size()) reply = replies_[next_++];
            }
            if (reply.empty()) return;
            (void)send(peer.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
            if (reply.ends_with("<close>")) return;
        }
    }

    std::vector<std::string> replies_;
    size_t next_ = 0;
    std::string folder_;
    Fd listener_;
    std::mutex mutex_;
    std::vector<std::string> requests_;
    std::jthread thread_;
};

std::string reply(int status, std::string_view body) {
    return fmt::format("HTTP/1.1 {} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", status,
                       body.size(), body);
}

std::string status_reply(int code, std::string_view reason, std::string_view message) {
    return reply(
        code, fmt::format(
                  R"({{"kind":"Status","apiVersion":"v1","status":"Failure","code":{},"reason":"{}","message":"{}"}})",
                  code, reason, message));
}

std::string chunk(std::string_view data) { return fmt::format("{:x}\r\n{}\r\n", data.size(), data); }

const std::string chunked_head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const ObjectKey web{"default", "web"};

TEST(HttpClient, GetsAnObjectWithItsTokenAndReusesTheConnection) {
    ScriptedServer server(
        {reply(200, R"({"kind":"Pod","metadata":{"name":"web","resourceVersion":"9007199254740993"}})"),
         reply(200, R"({"metadata":{"name":"web"}})")});
    const auto client = connect(server.endpoint());
    const Result<Object> pod = client->get(pods, web);
    ASSERT_TRUE(pod) << pod.error().message;
    EXPECT_EQ(pod->resource_version(), "9007199254740993");
    ASSERT_TRUE(client->get(pods, web));
    EXPECT_EQ(server.closed, 0);
    const std::string request = server.requests()[0];
    EXPECT_TRUE(request.starts_with("GET /api/v1/namespaces/default/pods/web HTTP/1.1\r\n")) << request;
    EXPECT_NE(request.find("Authorization: Bearer secret\r\n"), std::string::npos);
}

// API-22
TEST(HttpClient, MetadataOnlyIsAskedForAndAllThatIsKept) {
    const std::string event =
        R"({"type":"MODIFIED","object":{"kind":"PartialObjectMetadata","metadata":{"name":"a","resourceVersion":"6"}}})"
        "\n";
    ScriptedServer server({reply(200, R"({"metadata":{"resourceVersion":"5"},"items":[{"kind":"PartialObjectMetadata",)"
                                      R"("metadata":{"name":"a"}},{"metadata":{"name":"b"},"data":{"x":"aHVzaA=="}}]})"),
                           chunked_head + chunk(event) + "0\r\n\r\n"});
    const auto client = connect(server.endpoint());
    ListOptions options;
    options.metadata_only = true;
    const Result<ObjectList> list = client->list(secrets, options);
    ASSERT_TRUE(list) << list.error().message;
    ASSERT_EQ(list->items.size(), 2u);
    EXPECT_EQ(list->items[0].kind(), "Secret");
    EXPECT_EQ(list->items[1].find({"data"}), nullptr) << "also from a server that does not know how";
    std::vector<Object> seen;
    ASSERT_TRUE(client->watch(secrets, options, "5", {}, [&](WatchEvent&& change) {
        seen.push_back(std::move(change.object));
        return true;
    }));
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].kind(), "Secret");
    const std::vector<std::string> requests = server.requests();
    EXPECT_NE(requests[0].find("as=PartialObjectMetadataList"), std::string::npos);
    EXPECT_NE(requests[1].find("as=PartialObjectMetadata;"), std::string::npos);
}

TEST(HttpClient, TheServersStatusBecomesOurError) {
    const struct {
        int code;
        std::string_view reason;
        Code expected;
    } rows[] = {
        {404, "NotFound", Code::not_found},    {409, "AlreadyExists", Code::already_exists},
        {409, "Conflict", Code::conflict},     {410, "Expired", Code::gone},
        {401, "Unauthorized", Code::denied},   {403, "Forbidden", Code::denied},
        {422, "Invalid", Code::invalid},       {400, "BadRequest", Code::invalid},
        {429, "TooManyRequests", Code::unavailable}, {503, "ServiceUnavailable", Code::unavailable},
        {500, "InternalError", Code::unavailable},   {504, "Timeout", Code::timeout},
    };
    for (const auto& row : rows) {
        ScriptedServer server({status_reply(row.code, row.reason, "spec.x: Required value")});
        const Result<Object> result = connect(server.endpoint())->get(pods, web);
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().code, row.expected) << row.code << row.reason;
        EXPECT_EQ(result.error().message, "spec.x: Required value");
    }
}

TEST(HttpClient, GarbageAndLostConnectionsAreUnavailable) {
    for (const std::string& garbage :
         {reply(200, "{\"kind\":"), reply(200, "[1,2]"), std::string("not http at all\r\n\r\n"),
          std::string("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{<close>"), std::string()}) {
        ScriptedServer server({garbage});
        const Result<Object> result = connect(server.endpoint())->get(pods, web);
        ASSERT_FALSE(result) << garbage;
        EXPECT_EQ(result.error().code, Code::unavailable) << garbage << result.error().message;
    }
    const Result<Object> nobody = connect({.unix_socket = "/tmp/weft-kube-nobody.sock"})->get(pods, web);
    ASSERT_FALSE(nobody);
    EXPECT_EQ(nobody.error().code, Code::unavailable);
}

TEST(HttpClient, AnEmptyOrCrookedNameNeverReachesTheServer) {
    ScriptedServer server({});
    const auto client = connect(server.endpoint());
    EXPECT_EQ(client->remove(pods, {"default", ""}).error().code, Code::invalid);
    EXPECT_EQ(client->remove(pods, {"", "web"}).error().code, Code::invalid);
    EXPECT_EQ(client->get(pods, {"default", "a/../b"}).error().code, Code::invalid);
    EXPECT_TRUE(server.requests().empty());
}

TEST(HttpClient, AListFollowsItsPagesAndFillsInTheKind) {
    ScriptedServer server({
        reply(200, R"({"metadata":{"resourceVersion":"7","continue":"a/b"},"items":[{"metadata":{"name":"a"}}]})"),
        reply(200, R"({"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"b"}}]})"),
    });
    const Result<ObjectList> list =
        connect(server.endpoint())->list(pods, {.ns = "default", .label_selector = "a in (b)"});
    ASSERT_TRUE(list) << list.error().message;
    EXPECT_EQ(list->items.size(), 2u);
    EXPECT_EQ(list->items[1].kind(), "Pod");
    EXPECT_EQ(list->resource_version, "7");
    EXPECT_TRUE(server.requests()[1].starts_with(
        "GET /api/v1/namespaces/default/pods?limit=500&labelSelector=a%20in%20%28b%29&continue=a%2Fb HTTP"));
}

TEST(HttpClient, WritesCarryTheirTypes) {
    ScriptedServer server({reply(200, "{}"), reply(201, "{}"), reply(200, "{}"), reply(200, "{}")});
    const auto client = connect(server.endpoint());
    Object lease = Object::of(leases, {"kube-node-lease", "node-1"});
    ASSERT_TRUE(
        client->patch(nodes, {"", "node-1"}, PatchType::strategic, json::Object{{"status", json::Object{}}}, "status"));
    ASSERT_TRUE(client->create(leases, lease));
    ASSERT_TRUE(client->update_status(leases, lease));
    ASSERT_TRUE(client->remove(pods, web, {.uid = "u", .grace_period_s = 0}));
    const std::vector<std::string> requests = server.requests();
    EXPECT_TRUE(requests[0].starts_with("PATCH /api/v1/nodes/node-1/status HTTP"));
    EXPECT_NE(requests[0].find("Content-Type: application/strategic-merge-patch+json\r\n"), std::string::npos);
    EXPECT_TRUE(requests[1].starts_with("POST /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases HTTP"));
    EXPECT_TRUE(requests[2].starts_with(
        "PUT /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1/status HTTP"));
    EXPECT_NE(requests[3].find(R"("preconditions":{"uid":"u"},"gracePeriodSeconds":0)"), std::string::npos)
        << requests[3];
}

TEST(HttpClient, AWatchReadsEventsAcrossChunksAndEndsWithTheStream) {
    const std::string added =
        R"({"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"a","resourceVersion":"8"}}})"
        "\n";
    const std::string bookmark = R"({"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"12"}}})"
                                 "\n";
    const std::string two = added + bookmark;
    ScriptedServer server({chunked_head + chunk(two.substr(0, 30)) + chunk(two.substr(30)) + "0\r\n\r\n"});
    std::vector<std::string> versions;
    const Status status = connect(server.endpoint())->watch(pods, {}, "7", {}, [&](WatchEvent&& event) {
        versions.emplace_back(event.object.resource_version());
        return true;
    });
    EXPECT_TRUE(status) << status.error().message;
    EXPECT_EQ(versions, (std::vector<std::string>{"8", "12"}));
    EXPECT_NE(server.requests()[0].find("watch=true&allowWatchBookmarks=true&resourceVersion=7&"), std::string::npos);
}

TEST(HttpClient, AnErrorEventAndAPlainGoneBothMeanListAgain) {
    const std::string error =
        R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"}})"
        "\n";
    ScriptedServer server({chunked_head + chunk(error) + "0\r\n\r\n", status_reply(410, "Gone", "too old")});
    const auto client = connect(server.endpoint());
    for (int i = 0; i < 2; i++) {
        const Status status = client->watch(pods, {}, "7", {}, [](WatchEvent&&) { return true; });
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, Code::gone);
    }
}

TEST(HttpClient, GarbageInAWatchEndsIt) {
    for (const std::string_view line : {"{\n", "{\"type\":\"ADDED\"}\n", "{\"type\":\"X\",\"object\":{}}\n",
                                        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{}}}\n"}) {
        ScriptedServer server({chunked_head + chunk(line) + "0\r\n\r\n"});
        const Status status = connect(server.endpoint())->watch(pods, {}, "7", {}, [](WatchEvent&&) { return true; });
        ASSERT_FALSE(status) << line;
        EXPECT_EQ(status.error().code, Code::unavailable) << line;
    }
}

TEST(HttpClient, StopEndsASilentWatchAtOnce) {
    ScriptedServer server({chunked_head});
    const auto client = connect(server.endpoint());
    std::stop_source stop;
    const auto started = std::chrono::steady_clock::now();
    std::jthread stopper([&] {
        while (server.requests().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        stop.request_stop();
    });
    EXPECT_TRUE(client->watch(pods, {}, "7", stop.get_token(), [](WatchEvent&&) { return true; }));
    EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::milliseconds(900));
}

TEST(HttpClient, AReadyMadeSocketIsUsedInsteadOfConnecting) {
    ScriptedServer server({reply(200, R"({"metadata":{"name":"web"}})"), reply(200, R"({"metadata":{"name":"web"}})")});
    Endpoint endpoint;
    endpoint.url = "http://api.example.test";
    int dials = 0;
    endpoint.dial = [&]() -> Result<Fd> {
        dials++;
        Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{.sun_family = AF_UNIX};
        std::strncpy(address.sun_path, server.path().c_str(), sizeof address.sun_path - 1);
        if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
            return fail_errno("connect");
        return fd;
    };
    const auto client = connect(endpoint);
    for (int i = 0; i < 2; i++) {
        const Result<Object> pod = client->get(pods, web);
        ASSERT_TRUE(pod) << pod.error().message;
    }
    EXPECT_EQ(dials, 1);
    endpoint.dial = []() -> Result<Fd> { return fail(Code::timeout, "the keeper is away"); };
    EXPECT_NE(connect(endpoint)->get(pods, web).error().message.find("the keeper is away"), std::string::npos);
}

TEST(RawRequest, StreamsABodyUntilItsReaderHasEnough) {
    ScriptedServer server({chunked_head + chunk("line 1\n") + chunk("line 2\n")});
    std::string seen;
    const Result<RawReply> reply =
        raw_request(server.endpoint(), "GET", "/api/v1/namespaces/default/pods/web/log?follow=true", "", "", "*/*", {},
                    [&](std::string_view data) {
                        seen += data;
                        return seen.find("line 2") == std::string::npos;
                    });
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(seen, "line 1\nline 2\n");
}

}  // namespace
}  // namespace weft::kube
