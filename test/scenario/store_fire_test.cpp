// The store under fire: 8 writers with preconditions and 8 list-then-watch readers at one real API server, which is
// killed with -9 and whose disk is filled at moments drawn by a seed. Everything is recorded; history.h judges.
//
//   writers ──POST, PUT, PATCH, DELETE──▶ weft apiserver on a 96 MiB disk ──list, watch──▶ readers
//                                           ▲ kill -9        ▲ full
//
// WEFT_TEST_SEED repeats a run's draws, WEFT_TEST_LONG=1 runs many rounds. Spec: API-30, API-45, API-52, API-54,
// API-55, API-57, API-67, API-69, API-76, API-132, API-133.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <mutex>

#include "base/clock.h"
#include "base/rng.h"
#include "support/api_process.h"
#include "support/history.h"

namespace weft::test {
namespace {

constexpr int writers = 8, readers = 8, keys = 16;
constexpr int disk_mebibytes = 96;
constexpr uint64_t relist_every = 20;  // of a reader's reconnections
constexpr auto fire_time = std::chrono::seconds(10);
constexpr int rounds_long = 60;
constexpr const char* namespaces[] = {"fire-a", "fire-b"};
constexpr const char* json_type = "application/json";

int64_t number(std::string_view text) {
    return int64_t(parse_unsigned(text).value_or(0));
}

int64_t revision_of(const json::Value& object) {
    return number(json::find_string(object, {"metadata", "resourceVersion"}));
}

std::string key_of(const json::Value& object) {
    return fmt::format("{}/{}", json::find_string(object, {"metadata", "namespace"}),
                       json::find_string(object, {"metadata", "name"}));
}

std::string token_of(const json::Value& object) {
    return std::string(json::find_string(object, {"data", "token"}));
}

std::string path_of(const std::string& key) {
    const size_t slash = key.find('/');
    return fmt::format("/api/v1/namespaces/{}/configmaps/{}", key.substr(0, slash), key.substr(slash + 1));
}

std::string collection_of(const std::string& scope) {
    return scope.empty() ? "/api/v1/configmaps"
                         : "/api/v1/namespaces/" + scope.substr(0, scope.size() - 1) + "/configmaps";
}

struct Fire {
    explicit Fire(uint64_t seed) : seed(seed), api('s') {}

    const uint64_t seed;
    ApiProcess api;
    kube::Endpoint endpoint;
    std::atomic<bool> writing{true};
    std::atomic<int64_t> last_revision{0};  // of the marks; 0: still under fire
    std::atomic<uint64_t> acknowledged{0}, refused_by_disk{0}, lost_answers{0}, reconnections{0};
    std::vector<Attempt> attempts[writers];
    std::vector<Session> sessions[readers];
};

// --- writers

class Writer {
public:
    Writer(Fire& fire, int number) : fire_(fire), number_(number), rng_(fire.seed * 100 + uint64_t(number)) {}

    void run() {
        while (fire_.writing) {
            write_once();
            if (answered_) continue;
            fire_.lost_answers++;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));  // no server: do not spin
        }
    }

private:
    Result<kube::RawReply> ask(std::string_view method, const std::string& path, const std::string& body,
                               std::string_view type) {
        auto reply = kube::raw_request(fire_.endpoint, method, path, body, type, json_type);
        answered_ = bool(reply);
        return reply;
    }

    void write_once() {
        const std::string key = fmt::format("{}/c{}", namespaces[rng_.below(2)], rng_.below(keys));
        const uint64_t draw = rng_.below(100);
        Attempt attempt{.key = key, .token = fmt::format("w{}-{}", number_, count_++)};
        json::Value object =
            json::Object{{"apiVersion", "v1"},
                         {"kind", "ConfigMap"},
                         {"metadata", json::Object{{"name", key.substr(key.find('/') + 1)}}},
                         {"data", json::Object{{"token", attempt.token}, {"pad", std::string(rng_.below(800), 'x')}}}};
        if (draw < 20) {
            const std::string path = path_of(key);
            return record(attempt, ask("POST", path.substr(0, path.rfind('/')), json::serialize(object), json_type));
        }
        const auto found = ask("GET", path_of(key), "", "");
        if (!found || found->status != 200) return;
        attempt.expected = revision_of(MUST(json::parse(found->body)));
        const std::string revision = std::to_string(attempt.expected);
        if (draw < 60) {
            attempt.verb = Attempt::Verb::replace;
            json::set(object, {"metadata", "resourceVersion"}, json::Value(revision));
            return record(attempt, ask("PUT", path_of(key), json::serialize(object), json_type));
        }
        if (draw < 85) {
            attempt.verb = Attempt::Verb::replace;
            json::Value patch = json::Object{{"data", json::Object{{"token", attempt.token}}}};
            if (draw < 75)
                json::set(patch, {"metadata", "resourceVersion"}, json::Value(revision));
            else
                attempt.expected = Attempt::unconditional;
            return record(attempt, ask("PATCH", path_of(key), json::serialize(patch), "application/merge-patch+json"));
        }
        attempt.verb = Attempt::Verb::remove;
        const json::Value options = json::Object{{"preconditions", json::Object{{"resourceVersion", revision}}}};
        record(attempt, ask("DELETE", path_of(key), json::serialize(options), json_type));
    }

    void record(Attempt& attempt, const Result<kube::RawReply>& reply) {
        if (reply && reply->status < 300) {
            attempt.outcome = Attempt::Outcome::acknowledged;
            if (attempt.verb != Attempt::Verb::remove) attempt.revision = revision_of(MUST(json::parse(reply->body)));
            fire_.acknowledged++;
        } else if (reply) {
            attempt.outcome = Attempt::Outcome::refused;
            if (reply->status >= 500) fire_.refused_by_disk++;
            if (reply->status >= 500) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        fire_.attempts[number_].push_back(attempt);
    }

    Fire& fire_;
    const int number_;
    Rng rng_;
    int count_ = 0;
    bool answered_ = true;
};

// --- readers

// The lines of a watch; a line that a kill cut off is nothing.
class Lines {
public:
    explicit Lines(std::function<bool(const json::Value&)> on_event) : on_event_(std::move(on_event)) {}

    bool feed(std::string_view chunk) {
        rest_ += chunk;
        for (size_t end; (end = rest_.find('\n')) != std::string::npos; rest_.erase(0, end + 1)) {
            const auto event = json::parse(rest_.substr(0, end));
            if (!event || !on_event_(*event)) return false;
        }
        return true;
    }

private:
    std::function<bool(const json::Value&)> on_event_;
    std::string rest_;
};

Change change_of(const json::Value& event) {
    const json::Value& object = event.at("object");
    return {revision_of(object), std::string(json::find_string(event, {"type"})), key_of(object), token_of(object)};
}

class Reader {
public:
    Reader(Fire& fire, int number)
        : fire_(fire),
          number_(number),
          scope_(number % 3 == 0 ? "" : std::string(namespaces[number % 2]) + "/"),
          streams_list_(number % 2 == 1),
          rng_(fire.seed * 1000 + uint64_t(number)) {}

    void run() {
        while (!done()) {
            const bool again = rng_.below(relist_every) == 0 && fire_.last_revision == 0;
            if (fire_.sessions[number_].empty() || lost_ || again) {
                if (!(streams_list_ ? list_by_watch() : list())) pause();
            } else if (!watch()) {
                pause();
            }
        }
    }

private:
    // Nothing after the marks exists, and the watch has come to them.
    bool done() const {
        const int64_t last = fire_.last_revision;
        return last == 1 || (last != 0 && !lost_ && seen_ >= last);
    }

    void pause() const { std::this_thread::sleep_for(std::chrono::milliseconds(10)); }

    Session& session() { return fire_.sessions[number_].back(); }

    void begin(int64_t revision, State state) {
        fire_.sessions[number_].push_back({.scope = scope_, .listed_at = revision, .listed = std::move(state)});
        seen_ = revision;
        lost_ = false;
    }

    bool list() {
        State state;
        std::string token;
        int64_t revision = 0;
        do {
            std::string path = collection_of(scope_) + "?limit=7";
            if (!token.empty()) path += "&continue=" + token;
            const auto reply = kube::raw_request(fire_.endpoint, "GET", path, "", "", json_type);
            if (!reply || reply->status != 200) return false;
            const json::Value page = MUST(json::parse(reply->body));
            for (const json::Value& item : *json::find_array(page, {"items"}))
                state[key_of(item)] = {revision_of(item), token_of(item)};
            revision = revision_of(page);
            token = json::find_string(page, {"metadata", "continue"});
        } while (!token.empty());
        begin(revision, std::move(state));
        return true;
    }

    // The same by sendInitialEvents, then on in the same stream.
    bool list_by_watch() {
        State state;
        bool began = false;
        return stream("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=",
                      [&](const json::Value& event) {
                          if (began) return take(event);
                          const json::Value& object = event.at("object");
                          if (json::find_string(event, {"type"}) == "ADDED") {
                              state[key_of(object)] = {revision_of(object), token_of(object)};
                          } else {
                              began = true;
                              begin(revision_of(object), std::move(state));
                          }
                          return true;
                      });
    }

    bool watch() {
        fire_.reconnections++;
        return stream(fmt::format("&resourceVersion={}", seen_), [&](const json::Value& event) { return take(event); });
    }

    bool stream(const std::string& query, std::function<bool(const json::Value&)> on_event) {
        Lines lines(std::move(on_event));
        const std::string path = fmt::format("{}?watch=1&allowWatchBookmarks=true&timeoutSeconds={}{}",
                                             collection_of(scope_), 1 + rng_.below(3), query);
        const auto reply = kube::raw_request(fire_.endpoint, "GET", path, "", "", json_type, {},
                                             [&](std::string_view chunk) { return lines.feed(chunk) && !done(); });
        if (reply && reply->status == 410) lost_ = true;
        return reply && reply->status == 200;
    }

    bool take(const json::Value& event) {
        const std::string_view type = json::find_string(event, {"type"});
        if (type == "ERROR") return !(lost_ = true);
        const Change change = change_of(event);
        if (type == "BOOKMARK")
            session().bookmarks.push_back({change.revision, session().changes.size()});
        else
            session().changes.push_back(change);
        seen_ = std::max(seen_, change.revision);
        return true;
    }

    Fire& fire_;
    const int number_;
    const std::string scope_;
    const bool streams_list_;
    Rng rng_;
    int64_t seen_ = 0;
    bool lost_ = false;
};

// --- the fire

class StoreFire : public testing::Test {
protected:
    // Waits until `counter` has grown by `more`; a complaint when it does not.
    static std::string grown(const std::atomic<uint64_t>& counter, uint64_t more, int timeout_s = 60) {
        const uint64_t target = counter + more;
        return eventually(timeout_s, [&] { return counter >= target ? "" : "no progress"; });
    }

    static json::Value get(const Fire& fire, const std::string& path) {
        const auto reply = kube::raw_request(fire.endpoint, "GET", path, "", "", json_type);
        EXPECT_TRUE(reply && reply->status == 200) << path;
        return reply ? json::parse(reply->body).value_or(json::Value()) : json::Value();
    }

    static int64_t create(const Fire& fire, const std::string& path, const json::Value& object) {
        const auto reply =
            kube::raw_request(fire.endpoint, "POST", path, json::serialize(object), json_type, json_type);
        EXPECT_TRUE(reply && reply->status == 201) << path << (reply ? reply->body : "");
        return reply ? revision_of(json::parse(reply->body).value_or(json::Value())) : 0;
    }

    void burn(Fire& fire, Rng& rng) {
        const MonotonicTime end = system_clock().now() + fire_time;
        while (system_clock().now() < end) {
            ASSERT_EQ(grown(fire.acknowledged, 20 + rng.below(400)), "") << "writers stand still";
            const uint64_t draw = rng.below(4);
            if (draw >= 2) {
                fire.api.kill9();
                kills_++;
                ASSERT_EQ(fire.api.start(), "");
                continue;
            }
            fire.api.fill_disk();
            fills_++;
            (void)grown(fire.refused_by_disk, 1 + rng.below(50), 3);  // pages of the store that are free take some more
            unready_ += ready(fire) != 200 ? 1 : 0;
            (void)get(fire, "/api/v1/configmaps");  // API-133: reads go on
            if (draw == 1) {
                fire.api.kill9();
                kills_++;
                ASSERT_EQ(fire.api.start(), "") << "it starts on a full disk, for those who read";
            }
            fire.api.empty_disk();
        }
    }

    static int ready(const Fire& fire) {
        const auto reply = kube::raw_request(fire.endpoint, "GET", "/readyz", "", "", "");
        return reply ? reply->status : 0;
    }

    static std::vector<Change> whole_log(const Fire& fire, int64_t after, int64_t last) {
        std::vector<Change> log;
        Lines lines([&](const json::Value& event) {
            if (json::find_string(event, {"type"}) == "ERROR") ADD_FAILURE() << json::serialize(event);
            log.push_back(change_of(event));
            return log.back().revision < last;
        });
        const auto reply = kube::raw_request(
            fire.endpoint, "GET", fmt::format("/api/v1/configmaps?watch=1&timeoutSeconds=60&resourceVersion={}", after),
            "", "", json_type, {}, [&](std::string_view chunk) { return lines.feed(chunk); });
        EXPECT_TRUE(reply) << "the log of all changes";
        return log;
    }

    void round(uint64_t seed);

    int kills_ = 0, fills_ = 0, unready_ = 0;
};

void StoreFire::round(uint64_t seed) {
    Fire fire(seed);
    ASSERT_EQ(fire.api.put_on_disk(disk_mebibytes), "");
    ASSERT_EQ(fire.api.start(), "");
    fire.endpoint = fire.api.endpoint();
    for (const char* name : namespaces)
        (void)create(fire, "/api/v1/namespaces", json::Object{{"metadata", json::Object{{"name", name}}}});
    const int64_t beginning = revision_of(get(fire, "/api/v1/configmaps"));

    std::vector<std::jthread> reading, writing;
    for (int i = 0; i < readers; i++) reading.emplace_back([&fire, i] { Reader(fire, i).run(); });
    for (int i = 0; i < writers; i++) writing.emplace_back([&fire, i] { Writer(fire, i).run(); });
    Rng rng(seed);
    burn(fire, rng);
    fire.api.empty_disk();
    if (!fire.api.running()) {
        EXPECT_EQ(fire.api.start(), "");
    }
    EXPECT_EQ(eventually(30, [&] { return ready(fire) == 200 ? "" : "not ready"; }), "")
        << "API-133: it recovers alone";
    fire.writing = false;
    writing.clear();  // joins

    // One mark in each namespace, so that every reader has something to come to.
    int64_t last = 0;
    for (const char* name : namespaces) {
        const std::string key = fmt::format("{}/mark", name), path = path_of(key), token = fmt::format("mark-{}", name);
        last = create(
            fire, path.substr(0, path.rfind('/')),
            json::Object{{"metadata", json::Object{{"name", "mark"}}}, {"data", json::Object{{"token", token}}}});
        fire.attempts[0].push_back({Attempt::Verb::create, key, token, 0, Attempt::Outcome::acknowledged, last});
    }
    fire.last_revision = last == 0 ? 1 : last;  // 0 after a failure: the readers still have to end
    reading.clear();

    Judge judge(whole_log(fire, beginning, last));
    std::vector<Attempt> attempts;
    for (const auto& of_one : fire.attempts) attempts.insert(attempts.end(), of_one.begin(), of_one.end());
    judge.hear(attempts);
    size_t told = 0, bookmarks = 0, lists = 0;
    for (int i = 0; i < readers; i++) {
        for (const Session& session : fire.sessions[i]) {
            judge.hear(fmt::format("reader {}", i), session);
            told += session.changes.size();
            bookmarks += session.bookmarks.size();
            lists++;
        }
    }
    State end;
    const json::Value whole = get(fire, "/api/v1/configmaps");
    for (const json::Value& item : *json::find_array(whole, {"items"}))
        end[key_of(item)] = {revision_of(item), token_of(item)};
    judge.hear_end(end);
    for (const std::string& complaint : judge.complaints()) ADD_FAILURE() << complaint;
    fmt::print(
        "seed {}: {} attempts, {} acknowledged, {} refused by the disk, {} without an answer; {} lists, {} changes "
        "told, "
        "{} bookmarks, {} reconnections; {} kills, {} full disks, {} of them seen by readyz\n",
        seed, attempts.size(), uint64_t(fire.acknowledged), uint64_t(fire.refused_by_disk), uint64_t(fire.lost_answers),
        lists, told, bookmarks, uint64_t(fire.reconnections), kills_, fills_, unready_);
    EXPECT_GT(fire.acknowledged, 0u);
    EXPECT_GT(told, 0u);
    if (HasFailure()) {
        const std::string log = read_file(fire.api.log_file()).value_or("");
        fmt::print("{}\n", log.substr(log.size() > 4000 ? log.size() - 4000 : 0));
    }
}

TEST_F(StoreFire, loses_nothing_repeats_nothing_reorders_nothing_API_132_133) {
    const char* named = getenv("WEFT_TEST_SEED");
    const bool is_long = getenv("WEFT_TEST_LONG") != nullptr && named == nullptr;
    uint64_t seed = named != nullptr ? parse_unsigned(named).value_or(1) : uint64_t(getpid());
    for (int i = 0; i < (is_long ? rounds_long : 1) && !HasFailure(); i++) {
        fmt::print("WEFT_TEST_SEED={}\n", seed);
        (void)std::fflush(stdout);
        round(seed++);
    }
}

}  // namespace
}  // namespace weft::test

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
