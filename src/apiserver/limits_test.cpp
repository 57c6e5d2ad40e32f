// What the server does when it is asked too much: caps, deadlines, sizes, and watchers that do not keep up.
#include <atomic>
#include <future>
#include <thread>

#include "apiserver/api_fixture.h"
#include "apiserver/rest.h"

namespace weft::apiserver {
namespace {

constexpr auto patience = std::chrono::seconds(60);

class LimitsTest : public ApiFixture {
protected:
    // Holds the store's writer inside a write until it goes: every other write waits.
    class Plug {
    public:
        explicit Plug(store::Log& log)
            : thread_([this, &log] {
                  (void)log.write([this](store::Transaction&) -> Status {
                      inside_.set_value();
                      go_.get_future().wait();
                      return {};
                  });
              }) {
            inside_.get_future().wait();
        }

        ~Plug() { go_.set_value(); }

    private:
        std::promise<void> inside_, go_;
        std::jthread thread_;
    };

    // Asks again until the answer has this status, and returns it.
    Answer until(int status, const std::function<Answer()>& ask) {
        const MonotonicTime end = system_clock().now() + patience;
        Answer answer = ask();
        while (answer.status != status && system_clock().now() < end) answer = ask();
        return answer;
    }

    std::string future_revision() const { return std::to_string(log_->revision() + 1); }
};

// API-131
TEST_F(LimitsTest, writes_beyond_the_cap_are_told_to_come_again_and_reads_go_on) {
    std::atomic<int> made{0}, busy{0};
    std::vector<std::jthread> writers;
    {
        const Plug plug(*log_);
        for (int i = 0; i < writes_in_flight_max; i++) {
            writers.emplace_back([&, i] {
                const std::string body = config_map("m" + std::to_string(i));
                const Answer answer = until(201, [&] {
                    const Answer once = post(maps, body);
                    busy += once.status == 429 ? 1 : 0;
                    return once;
                });
                made += answer.status == 201 ? 1 : 0;
            });
        }
        const Answer refused = until(429, [&] {
            // Not there yet: nothing to wait for, the object does not exist.
            return remove(path_of(maps, "nobody") + "?dryRun=All", R"({"gracePeriodSeconds":0})");
        });
        EXPECT_EQ(refused.status, 429);
        EXPECT_EQ(refused.reason(), "TooManyRequests");
        EXPECT_EQ(refused.header("Retry-After"), "1");
        EXPECT_EQ(json::find_int(refused.body, {"details", "retryAfterSeconds"}), 1);
        EXPECT_EQ(get(maps).status, 200) << "reads have places of their own";
        EXPECT_EQ(send("GET /readyz", {.role = ""}).status, 200) << "health needs none";
    }
    writers.clear();
    EXPECT_EQ(made, writes_in_flight_max);
}

// API-131, API-47
TEST_F(LimitsTest, reads_beyond_the_cap_are_told_to_come_again_and_watches_do_not_count) {
    std::atomic<bool> enough{false};
    std::vector<std::jthread> readers;
    const std::string path = path_of(maps, "m") + "?resourceVersion=" + future_revision();
    for (int i = 0; i < reads_in_flight_max; i++)
        readers.emplace_back([&] {
            while (!enough) (void)get(path);  // each waits for the revision in its place
        });
    const Answer refused = until(429, [&] { return get(maps); });
    EXPECT_EQ(refused.status, 429);
    EXPECT_EQ(refused.header("Retry-After"), "1");
    EXPECT_EQ(raw(fmt::format("GET {}?watch=1&timeoutSeconds=1", maps)).status, 200);
    enough = true;
    EXPECT_EQ(post(maps, config_map("m")).status, 201) << "writes have places of their own";
    readers.clear();
    EXPECT_EQ(get(maps).status, 200);
}

// API-75
TEST_F(LimitsTest, a_write_whose_time_is_over_is_504_and_not_made) {
    {
        const Plug plug(*log_);
        const Answer late = send(fmt::format("POST {}?timeout=20ms", maps), {.body = config_map("late")});
        EXPECT_EQ(late.status, 504);
        EXPECT_EQ(late.reason(), "Timeout");
        EXPECT_EQ(send("DELETE " + path_of(maps, "late") + "?timeout=20ms").status, 404) << "what needs no write";
    }
    EXPECT_EQ(post(maps, config_map("after")).status, 201);
    EXPECT_EQ(get(path_of(maps, "late")).status, 404);
    EXPECT_EQ(send(fmt::format("POST {}?timeout=soon", maps), {.body = config_map("a")}).status, 400);
    EXPECT_EQ(send(fmt::format("POST {}?timeout=1h", maps), {.body = config_map("b")}).status, 201);
}

// API-75
TEST_F(LimitsTest, a_list_has_its_time) {
    ASSERT_EQ(post(maps, config_map("m")).status, 201);
    const Answer late = get(fmt::format("{}?timeout=1ns", maps));
    EXPECT_EQ(late.status, 504);
    EXPECT_EQ(late.reason(), "Timeout");
    EXPECT_EQ(get(fmt::format("{}?timeout=1h", maps)).status, 200);
}

// API-135
TEST_F(LimitsTest, a_hundred_and_fifty_thousand_objects_of_one_kind_are_listed_in_pages) {
    constexpr size_t count = 150'000, batch = 5'000, page = 500;
    ASSERT_EQ(post(maps, config_map("first")).status, 201);
    const std::string stored = log_->get("core/configmaps/default/first").value()->value;
    for (size_t from = 1; from < count; from += batch)
        ASSERT_TRUE(log_->write([&](store::Transaction& transaction) -> Status {
            for (size_t i = from; i < std::min(count, from + batch); i++) {
                std::string value = stored;
                value.replace(value.find("first"), 5, fmt::format("m{:06}", i));
                TRY(transaction.put(fmt::format("core/configmaps/default/m{:06}", i), std::move(value), 0));
            }
            return {};
        }));
    const Answer start = get(fmt::format("{}?limit={}", maps, page));
    ASSERT_EQ(start.status, 200);
    EXPECT_EQ(start.body.at("items").as_array().size(), page);
    EXPECT_EQ(json::find_int(start.body, {"metadata", "remainingItemCount"}), int64_t(count - page));
    const std::string next(start.string({"metadata", "continue"}));
    const Answer second = get(fmt::format("{}?limit={}&continue={}", maps, page, http::percent_encode(next)));
    EXPECT_EQ(json::find_string(second.body.at("items").as_array()[0], {"metadata", "name"}), "m000500");
    EXPECT_EQ(get(path_of(maps, "m149999")).status, 200);
    EXPECT_EQ(post(maps, config_map("one-more")).status, 201);
    EXPECT_EQ(remove(path_of(maps, "m075000")).status, 200);
    const std::string after(second.string({"metadata", "continue"}));
    const Answer third = get(fmt::format("{}?limit={}&continue={}", maps, page, http::percent_encode(after)));
    EXPECT_EQ(json::find_int(third.body, {"metadata", "remainingItemCount"}), int64_t(count - 3 * page))
        << "the snapshot of the first page";
    EXPECT_EQ(json::find_int(get(fmt::format("{}?limit=1", maps)).body, {"metadata", "remainingItemCount"}),
              int64_t(count - 1)) << "one came and one went";
}

// API-47
TEST_F(LimitsTest, a_revision_from_the_future_is_waited_for_and_then_504) {
    std::jthread writer;
    const Answer came = [&] {
        const std::string path = fmt::format("{}?resourceVersion={}", maps, future_revision());
        writer = std::jthread([&] { (void)post(maps, config_map("m")); });
        return get(path);
    }();
    EXPECT_EQ(came.status, 200);
    writer.join();
    const auto began = system_clock().now();
    const Answer never = get(fmt::format("{}?resourceVersion={}", maps, future_revision()));
    EXPECT_GE(system_clock().now() - began, Duration(future_revision_wait_max));
    EXPECT_EQ(never.status, 504);
    EXPECT_EQ(never.message(),
              fmt::format("Timeout: Too large resource version: {}, current: {}", future_revision(), log_->revision()));
    EXPECT_EQ(json::find_int(never.body, {"details", "retryAfterSeconds"}), 1);
    EXPECT_EQ(json::find_string(never.body.at("details").at("causes").as_array()[0], {"reason"}),
              "ResourceVersionTooLarge");
}

// API-5, API-135
TEST_F(LimitsTest, bodies_and_objects_have_a_size) {
    const std::string large(json::json_bytes_max + 1, ' ');
    EXPECT_EQ(post(maps, large).status, 413);
    constexpr std::string_view sets = "/apis/apps/v1/namespaces/default/replicasets";
    const auto sized = [&](std::string_view name, size_t bytes) {
        return fmt::format(
            R"({{"metadata":{{"name":"{}"}},"spec":{{"selector":{{"matchLabels":{{"a":"b"}}}},"template":{{"metadata":)"
            R"({{"labels":{{"a":"b"}}}},"spec":{{"containers":[{{"name":"c","image":"i","args":["{}"]}}]}}}}}}}})",
            name, std::string(bytes, 'x'));
    };
    ASSERT_EQ(post(sets, sized("a", 1000 * 1024)).status, 201) << "a megabyte fits";
    const Answer refused = post(sets, sized("b", 1600 * 1024));
    EXPECT_EQ(refused.status, 413);
    EXPECT_EQ(refused.reason(), "RequestEntityTooLarge");
    EXPECT_EQ(put(path_of(sets, "a"), sized("a", 1600 * 1024)).status, 413) << "nor may it grow so large";
    EXPECT_EQ(
        post(maps, fmt::format(R"({{"metadata":{{"name":"m"}},"data":{{"a":"{}"}}}})", std::string(1100 * 1024, 'x')))
            .status,
        422)
        << "a ConfigMap has a limit of its own";
}

// A client that reads nothing until it is told to.
class StuckSink final : public Sink {
public:
    bool write(std::string_view data) override {
        if (!reached_.exchange(true)) {
            inside.set_value();
            go.get_future().wait();
        }
        for (size_t end; (end = data.find('\n')) != std::string_view::npos; data.remove_prefix(end + 1))
            events.push_back(*json::parse(data.substr(0, end)));
        return true;
    }

    bool gone() override { return false; }

    std::stop_token stop() const override { return {}; }

    std::promise<void> inside, go;
    std::vector<json::Value> events;

private:
    std::atomic<bool> reached_{false};
};

// API-58, API-54
TEST_F(LimitsTest, a_watcher_too_slow_is_closed_holds_nobody_up_and_misses_nothing) {
    const std::string from = std::to_string(log_->revision());
    StuckSink sink;
    Reply reply = raw(fmt::format("GET {}?watch=1&timeoutSeconds=60&resourceVersion={}", maps, from));
    ASSERT_EQ(reply.status, 200);
    std::jthread watcher([&] { reply.stream(sink); });
    ASSERT_EQ(post(maps, config_map("first")).status, 201);
    sink.inside.get_future().wait();
    // More than its buffer holds, while it reads nothing; the writers do not wait for it.
    const std::string stored = log_->get("core/configmaps/default/first").value()->value;
    const size_t more = store::watch_buffer_events_max + 10;
    ASSERT_TRUE(log_->write([&](store::Transaction& transaction) -> Status {
        for (size_t i = 0; i < more; i++)
            TRY(transaction.put(fmt::format("core/configmaps/default/m{}", i % 100), stored, {}));
        return {};
    }));
    EXPECT_GE(log_->counters().watchers_dropped, 1u);
    sink.go.set_value();
    watcher.join();  // closed, long before its time
    ASSERT_EQ(sink.events.size(), 1u);
    const std::string last(json::find_string(sink.events.back(), {"object", "metadata", "resourceVersion"}));
    CollectingSink rest(more);
    raw(fmt::format("GET {}?watch=1&timeoutSeconds=60&resourceVersion={}", maps, last)).stream(rest);
    ASSERT_EQ(rest.events().size(), more) << "from where it was, it sees all the others";
    EXPECT_EQ(json::find_string(rest.events().back(), {"object", "metadata", "resourceVersion"}),
              std::to_string(log_->revision()));
}

// API-25, API-53
TEST_F(LimitsTest, each_event_of_a_watch_is_one_line_written_at_once) {
    class Lines final : public Sink {
    public:
        bool write(std::string_view data) override {
            writes.emplace_back(data);
            return writes.size() < 2;
        }

        bool gone() override { return false; }

        std::stop_token stop() const override { return {}; }

        std::vector<std::string> writes;
    } lines;

    ASSERT_EQ(post(maps, config_map("a")).status, 201);
    ASSERT_EQ(post(maps, config_map("b")).status, 201);
    Reply reply = raw(fmt::format("GET {}?watch=1", maps), {.accept = "application/json;stream=watch"});
    EXPECT_EQ(reply.content_type, "application/json");
    reply.stream(lines);
    ASSERT_EQ(lines.writes.size(), 2u);
    for (const std::string& line : lines.writes) {
        EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
        EXPECT_TRUE(line.ends_with('\n'));
    }
}

// API-68
TEST_F(LimitsTest, patches_without_a_revision_all_win_and_one_with_a_stale_revision_does_not) {
    const std::string stale(post(maps, config_map("m")).revision());
    std::vector<std::jthread> patchers;
    std::atomic<int> done{0};
    for (int i = 0; i < 8; i++)
        patchers.emplace_back([&, i] {
            for (int k = 0; k < 5; k++)
                done +=
                    merge(path_of(maps, "m"), fmt::format(R"({{"data":{{"k{}":"{}"}}}})", i, k)).status == 200 ? 1 : 0;
        });
    patchers.clear();
    EXPECT_EQ(done, 40);
    EXPECT_EQ(json::find_object(get(path_of(maps, "m")).body, {"data"})->size(), 9u);
    const Answer refused = merge(path_of(maps, "m"),
                                 fmt::format(R"({{"metadata":{{"resourceVersion":"{}"}},"data":{{"z":"1"}}}})", stale));
    EXPECT_EQ(refused.status, 409);
    EXPECT_EQ(refused.reason(), "Conflict");
    EXPECT_EQ(merge(path_of(maps, "none"), "{}").status, 404);
}

// API-40
TEST_F(LimitsTest, no_client_sets_or_clears_the_marks_of_a_deletion) {
    const std::string marks =
        R"(,"finalizers":["a.test/b"],"deletionTimestamp":"2020-01-01T00:00:00Z","deletionGracePeriodSeconds":5)";
    const Answer made = post(maps, config_map("m", marks));
    ASSERT_EQ(made.status, 201);
    EXPECT_EQ(made.string({"metadata", "deletionTimestamp"}), "");
    ASSERT_EQ(remove(path_of(maps, "m")).status, 200);
    const std::string since(get(path_of(maps, "m")).string({"metadata", "deletionTimestamp"}));
    EXPECT_NE(since, "");
    const Answer cleared = merge(path_of(maps, "m"), R"({"metadata":{"deletionTimestamp":null}})");
    EXPECT_EQ(cleared.status, 200);
    EXPECT_EQ(cleared.string({"metadata", "deletionTimestamp"}), since);
}

}  // namespace
}  // namespace weft::apiserver
