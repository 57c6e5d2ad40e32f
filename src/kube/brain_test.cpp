#include "kube/brain.h"

#include <gtest/gtest.h>

#include "kube/fake_client.h"

namespace weft::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Object pod(std::string_view name, std::string_view node = "") {
    Object object = Object::of(pods, {"default", std::string(name)});
    if (!node.empty()) object.set({"spec", "nodeName"}, node);
    return object;
}

// Passes everything on to a FakeClient until told that the API is away.
class FlakyClient : public Client {
public:
    explicit FlakyClient(Client& real) : real_(real) {}

    Result<Object> get(const Resource& r, const ObjectKey& k) override { return real_.get(r, k); }
    Result<ObjectList> list(const Resource& r, const ListOptions& o) override {
        lists++;
        if (away) return fail(Code::unavailable, "connection refused");
        return real_.list(r, o);
    }
    Result<Object> create(const Resource& r, const Object& o) override { return real_.create(r, o); }
    Result<Object> update(const Resource& r, const Object& o) override { return real_.update(r, o); }
    Result<Object> update_status(const Resource& r, const Object& o) override { return real_.update_status(r, o); }
    Result<Object> patch(const Resource& r, const ObjectKey& k, PatchType t, const json::Value& p,
                         std::string_view s) override {
        return real_.patch(r, k, t, p, s);
    }
    Status remove(const Resource& r, const ObjectKey& k, const DeleteOptions& o) override {
        return real_.remove(r, k, o);
    }
    Status watch(const Resource& r, const ListOptions& o, std::string_view v, std::stop_token stop,
                 const std::function<bool(WatchEvent&&)>& on_event) override {
        if (away) return fail(Code::unavailable, "connection refused");
        std::stop_source broken;
        const std::stop_callback outer(stop, [&] { broken.request_stop(); });
        {
            const std::lock_guard lock(mutex_);
            streams_.push_back(broken);
        }
        // A change made while the API is away never comes through, however late the stream notices its end.
        const Status status = real_.watch(r, o, v, broken.get_token(), [&](WatchEvent&& event) {
            return !away && on_event(std::move(event));
        });
        if (away && !stop.stop_requested()) return fail(Code::unavailable, "connection reset");
        return status;
    }

    void go_away() {
        away = true;
        const std::lock_guard lock(mutex_);
        for (std::stop_source& stream : streams_) stream.request_stop();
        streams_.clear();
    }

    std::atomic<bool> away{false};
    std::atomic<int> lists{0};

private:
    Client& real_;
    std::mutex mutex_;
    std::vector<std::stop_source> streams_;
};

// A fact that another thread brings about; waits at most 10 s for it.
template <class Fact>
bool becomes_true(Fact fact) {
    for (int i = 0; i < 2000; i++) {
        if (fact()) return true;
        std::this_thread::sleep_for(milliseconds(5));
    }
    return false;
}

TEST(Brain, NothingIsReconciledBeforeEveryCacheIsInSync) {
    FakeClient fake;
    FlakyClient client(fake);
    ASSERT_TRUE(fake.create(pods, pod("a")));
    client.away = true;
    FakeClock clock;
    const auto brain = Brain::create(client, clock);
    int looks = 0;
    const Cache& cache = brain->watch(pods);
    Brain::Queue& queue = brain->add_reconciler("test", [&](const ObjectKey&) {
        looks++;
        return Outcome::done();
    });
    brain->on_change(cache, [&](const ObjectPtr&, const ObjectPtr& after) { queue.add(after->key()); });
    queue.add({"default", "early"});
    brain->run_until_idle();
    EXPECT_EQ(looks, 0);
    EXPECT_FALSE(brain->synced());
    client.away = false;
    brain->run_until_idle();
    EXPECT_EQ(looks, 2);
    EXPECT_TRUE(brain->synced());
}

TEST(Brain, ManyChangesOfOneObjectAreOneLook) {
    FakeClient client;
    FakeClock clock;
    const auto brain = Brain::create(client, clock);
    int looks = 0;
    const Cache& cache = brain->watch(pods);
    Brain::Queue& queue = brain->add_reconciler("test", [&](const ObjectKey&) {
        looks++;
        return Outcome::done();
    });
    brain->on_change(
        cache, [&](const ObjectPtr& before, const ObjectPtr& after) { queue.add((after ? after : before)->key()); });
    ASSERT_TRUE(client.create(pods, pod("a")));
    for (int i = 0; i < 5; i++)
        ASSERT_TRUE(
            client.patch(pods, {"default", "a"}, PatchType::merge, json::Object{{"spec", json::Object{{"n", i}}}}));
    brain->run_until_idle();
    EXPECT_EQ(looks, 1);
    EXPECT_EQ(cache.get(ObjectKey{"default", "a"})->integer({"spec", "n"}), 4);
}

TEST(Brain, AFailedLookIsRetriedWithBackOffAndAnAgainAtItsTime) {
    FakeClient client;
    FakeClock clock;
    const auto brain = Brain::create(client, clock);
    int looks = 0;
    Brain::Queue& queue = brain->add_reconciler("test", [&](const ObjectKey&) {
        looks++;
        if (looks == 1) return Outcome::failed({Code::unavailable, "not now"});
        return looks == 2 ? Outcome::again(seconds(7)) : Outcome::done();
    });
    queue.add({"", "x"});
    brain->run_until_idle();
    EXPECT_EQ(looks, 1);
    clock.advance(milliseconds(5));
    brain->run_until_idle();
    EXPECT_EQ(looks, 2);
    clock.advance(seconds(6));
    brain->run_until_idle();
    EXPECT_EQ(looks, 2);
    clock.advance(seconds(1));
    brain->run_until_idle();
    EXPECT_EQ(looks, 3);
}

TEST(Brain, PeriodicWorkRunsFirstAfterTheSyncAndThenAtItsPeriod) {
    FakeClient client;
    FakeClock clock;
    const auto brain = Brain::create(client, clock);
    int runs = 0;
    int syncs = 0;
    brain->watch(pods);
    brain->every(seconds(10), [&] { runs++; });
    brain->on_synced([&] { syncs++; });
    brain->run_until_idle();
    EXPECT_EQ(runs, 1);
    brain->run_until_idle();
    EXPECT_EQ(runs, 1);
    clock.advance(seconds(10));
    brain->run_until_idle();
    EXPECT_EQ(runs, 2);
    EXPECT_EQ(syncs, 1);
}

TEST(Brain, TheSameWatchTwiceIsTheSameCache) {
    FakeClient client;
    const auto brain = Brain::create(client);
    const Cache& all = brain->watch(pods);
    EXPECT_EQ(&brain->watch(pods), &all);
    EXPECT_NE(&brain->watch(pods, {.field_selector = "spec.nodeName=node-1"}), &all);
}

TEST(Brain, ACacheIsOrderedAndSplitByNamespace) {
    FakeClient client;
    client.seed("{kind: Pod, apiVersion: v1, metadata: {name: b, namespace: blue}}\n---\n"
                "{kind: Pod, apiVersion: v1, metadata: {name: z, namespace: default}}\n---\n"
                "{kind: Pod, apiVersion: v1, metadata: {name: a, namespace: default}}\n");
    const auto brain = Brain::create(client);
    const Cache& cache = brain->watch(pods);
    brain->run_until_idle();
    std::string order;
    cache.for_each([&](const ObjectPtr& object) { order += object->key().text() + " "; });
    EXPECT_EQ(order, "blue/b default/a default/z ");
    order.clear();
    cache.for_each_in("default", [&](const ObjectPtr& object) { order += std::string(object->name()) + " "; });
    EXPECT_EQ(order, "a z ");
}

// A running brain on its own thread that notes what its handlers saw.
struct RunningBrain {
    explicit RunningBrain(Client& client) : brain(Brain::create(client)), cache(brain->watch(pods)) {
        brain->on_change(cache, [this](const ObjectPtr& before, const ObjectPtr& after) {
            const std::lock_guard lock(mutex);
            seen.push_back(std::string(!before  ? "+"
                                       : !after ? "-"
                                                : "~") +
                           std::string((after ? after : before)->name()));
        });
        thread = std::jthread([this](std::stop_token stop) { brain->run(stop); });
    }

    std::vector<std::string> changes() {
        const std::lock_guard lock(mutex);
        return seen;
    }

    bool sees(std::vector<std::string> expected) {
        return becomes_true([&] { return changes() == expected; });
    }

    std::unique_ptr<Brain> brain;
    const Cache& cache;
    std::mutex mutex;
    std::vector<std::string> seen;
    std::jthread thread;
};

TEST(RunningBrain, SeesAddsChangesAndDeletesAsTheyCome) {
    FakeClient client;
    ASSERT_TRUE(client.create(pods, pod("a")));
    RunningBrain running(client);
    ASSERT_TRUE(running.sees({"+a"}));
    ASSERT_TRUE(client.create(pods, pod("b")));
    ASSERT_TRUE(client.patch(pods, {"default", "a"}, PatchType::merge, json::Object{{"x", 1}}));
    ASSERT_TRUE(client.remove(pods, {"default", "b"}));
    EXPECT_TRUE(running.sees({"+a", "+b", "~a", "-b"}));
    EXPECT_LT(running.brain->staleness(), seconds(10));
}

TEST(RunningBrain, ListsAgainAfterGoneAndTellsOnlyWhatReallyChanged) {
    FakeClient fake;
    FlakyClient client(fake);
    ASSERT_TRUE(fake.create(pods, pod("stays")));
    ASSERT_TRUE(fake.create(pods, pod("goes")));
    ASSERT_TRUE(fake.create(pods, pod("changes")));
    RunningBrain running(client);
    ASSERT_TRUE(running.sees({"+changes", "+goes", "+stays"}));
    client.go_away();
    ASSERT_TRUE(fake.remove(pods, {"default", "goes"}));
    ASSERT_TRUE(fake.patch(pods, {"default", "changes"}, PatchType::merge, json::Object{{"x", 1}}));
    ASSERT_TRUE(fake.create(pods, pod("comes")));
    fake.compact();
    const int lists = client.lists;
    client.away = false;
    EXPECT_TRUE(running.sees({"+changes", "+goes", "+stays", "-goes", "~changes", "+comes"}));
    EXPECT_GT(client.lists, lists);
}

TEST(RunningBrain, KeepsItsCacheWhileTheApiIsAwayAndResumesWithoutAList) {
    FakeClient fake;
    FlakyClient client(fake);
    ASSERT_TRUE(fake.create(pods, pod("a")));
    RunningBrain running(client);
    ASSERT_TRUE(running.sees({"+a"}));
    const int lists = client.lists;
    client.go_away();
    ASSERT_TRUE(fake.remove(pods, {"default", "a"}));
    std::atomic<bool> there = false;
    std::atomic<bool> asked = false;
    running.brain->post([&] {
        there = running.cache.get(ObjectKey{"default", "a"}) != nullptr;
        asked = true;
    });
    ASSERT_TRUE(becomes_true([&] { return asked.load(); }));
    EXPECT_TRUE(there);
    client.away = false;
    EXPECT_TRUE(running.sees({"+a", "-a"}));
    EXPECT_EQ(client.lists, lists);
}

TEST(EventRecorder, TheSameEventWithinTenMinutesOnlyRaisesItsCount) {
    FakeClock clock;
    FakeClient client(clock);
    EventRecorder recorder(client, "controller", clock);
    const Object about = *client.create(pods, pod("a"));
    recorder.warning(about, "VPCMismatch", "vsw-x belongs to vpc-blue");
    recorder.warning(about, "VPCMismatch", "vsw-x belongs to vpc-blue");
    recorder.normal(about, "Scheduled", "assigned to node-1");
    ObjectList list = *client.list(events);
    ASSERT_EQ(list.items.size(), 2u);
    int64_t counts = 0;
    for (const Object& event : list.items) counts += event.integer({"count"});
    EXPECT_EQ(counts, 3);
    EXPECT_EQ(list.items[0].string({"involvedObject", "name"}), "a");
    EXPECT_EQ(list.items[0].ns(), "default");
    clock.advance(std::chrono::minutes(11));
    recorder.warning(about, "VPCMismatch", "vsw-x belongs to vpc-blue");
    EXPECT_EQ(client.list(events)->items.size(), 3u);
}

TEST(EventRecorder, BeyondItsLimitItForgetsTheOldestOnly) {
    constexpr int remembered = 1000, written = remembered + 200;
    FakeClock clock;
    FakeClient client(clock);
    EventRecorder recorder(client, "controller", clock);
    const auto tell = [&](int i) { recorder.warning(pod("p" + std::to_string(i)), "FailedScheduling", "no node"); };
    for (int i = 0; i < written; ++i) {
        tell(i);
        clock.advance(std::chrono::milliseconds(1));
        if (i == remembered - 1) tell(0);  // not the oldest any more
    }
    for (int i = written - remembered + 1; i < written; ++i) tell(i);
    tell(0);
    EXPECT_EQ(client.list(events)->items.size(), size_t(written)) << "all of them were only counted";
    tell(1);
    EXPECT_EQ(client.list(events)->items.size(), size_t(written + 1)) << "long forgotten";
}

TEST(EventRecorder, AFailureToWriteIsSwallowed) {
    FakeClient client;
    EventRecorder recorder(client, "controller");
    client.fail_next(Code::unavailable);
    recorder.normal(pod("a"), "Scheduled", "assigned to node-1");
    EXPECT_EQ(client.list(events)->items.size(), 0u);
}

}  // namespace
}  // namespace weft::kube
