#include "store/log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "base/fd.h"
#include "store/database.h"

namespace weft::store {
namespace {

class LogTest : public testing::Test {
protected:
    LogTest() : dir_("/tmp/weft-store-test-" + std::to_string(getpid())) {
        EXPECT_TRUE(remove_tree(dir_));
        EXPECT_TRUE(make_directories(dir_));
        reopen();
    }

    ~LogTest() override {
        log_.reset();
        EXPECT_TRUE(remove_tree(dir_));
    }

    std::string path() const { return dir_ + "/store.db"; }

    void reopen(bool force = false) {
        log_.reset();
        auto opened = Log::open({.path = path(), .force = force, .clock = &clock_, .background = false});
        ASSERT_TRUE(opened) << opened.error().message;
        log_ = std::move(*opened);
    }

    Result<Revision> put(std::string key, std::string value, std::optional<Revision> expected = {}) {
        return log_->write([&](Transaction& transaction) -> Status {
            TRY(transaction.put(key, value, expected));
            return {};
        });
    }

    Result<Revision> remove(std::string key) {
        return log_->write([&](Transaction& transaction) -> Status {
            TRY(transaction.remove(key, {}));
            return {};
        });
    }

    // Everything a watch has to say until it has reached `revision`.
    std::vector<EventPtr> drain(Watch& watch, Revision revision) {
        std::vector<EventPtr> all;
        while (true) {
            auto batch = watch.next(system_clock().now() + std::chrono::seconds(5), {});
            EXPECT_TRUE(batch) << batch.error().message;
            if (!batch) return all;
            all.insert(all.end(), batch->events.begin(), batch->events.end());
            if (batch->progress >= revision) return all;
        }
    }

    const std::string dir_;
    FakeClock clock_;
    std::unique_ptr<Log> log_;
};

TEST_F(LogTest, every_change_gets_the_next_revision_and_a_read_gives_the_last_value) {
    const Revision first = *put("a/1", "one");
    EXPECT_EQ(*put("a/2", "two"), first + 1);
    EXPECT_EQ(*put("a/1", "uno"), first + 2);
    const auto entry = *log_->get("a/1");
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->value, "uno");
    EXPECT_EQ(entry->revision, first + 2);
    EXPECT_FALSE(*log_->get("a/3"));
    EXPECT_EQ(log_->revision(), first + 2);
    EXPECT_EQ(log_->get("a/1", first).value()->value, "one");
}

TEST_F(LogTest, preconditions_are_checked_inside_the_transaction) {
    const Revision first = *put("k", "1", 0);
    EXPECT_EQ(put("k", "2", 0).error().code, Code::already_exists);
    EXPECT_EQ(put("k", "2", first + 7).error().code, Code::conflict);
    EXPECT_EQ(put("x", "2", 5).error().code, Code::not_found);
    const Revision second = *put("k", "2", first);
    EXPECT_EQ(second, first + 1) << "refused writes use no revision";
    EXPECT_EQ(*remove("k"), second + 1);
    EXPECT_EQ(remove("k").error().code, Code::not_found);
    EXPECT_EQ(*put("k", "again", 0), second + 2);
}

TEST_F(LogTest, a_failed_write_of_several_steps_leaves_nothing_behind) {
    const Revision before = log_->revision();
    const auto failed = log_->write([&](Transaction& transaction) -> Status {
        TRY(transaction.put("a", "1", 0));
        EXPECT_EQ(transaction.get("a").value()->value, "1") << "a write sees its own steps";
        return fail(Code::denied, "no");
    });
    EXPECT_EQ(failed.error().code, Code::denied);
    EXPECT_FALSE(*log_->get("a"));
    EXPECT_EQ(log_->revision(), before);
}

TEST_F(LogTest, a_dry_run_checks_everything_and_keeps_nothing) {
    const Revision before = log_->revision();
    EXPECT_TRUE(log_->dry_run([](Transaction& transaction) -> Status {
        TRY(transaction.put("a", "1", 0));
        return {};
    }));
    EXPECT_FALSE(*log_->get("a"));
    EXPECT_EQ(log_->revision(), before);
    EXPECT_EQ(*put("a", "1", 0), before + 1);
}

TEST_F(LogTest, a_chunked_range_shows_one_snapshot) {
    for (const char* key : {"p/a", "p/b", "p/c", "q/a"}) ASSERT_TRUE(put(key, key));
    const auto first = *log_->range("p/", {.limit = 2, .count_rest = true});
    ASSERT_EQ(first.entries.size(), 2u);
    EXPECT_TRUE(first.more);
    EXPECT_EQ(first.rest, 1u);
    ASSERT_TRUE(put("p/bb", "new"));
    ASSERT_TRUE(remove("p/c"));
    const auto second = *log_->range("p/", {.revision = first.revision, .limit = 2, .start_after = "p/b"});
    ASSERT_EQ(second.entries.size(), 1u);
    EXPECT_EQ(second.entries[0].key, "p/c");
    EXPECT_FALSE(second.more);
    EXPECT_EQ(log_->range("p/", {.revision = log_->revision() + 1}).error().code, Code::invalid);
}

TEST_F(LogTest, a_watch_replays_history_and_goes_live_without_a_gap_or_a_repeat) {
    const Revision start = *put("w/a", "1");
    ASSERT_TRUE(put("w/a", "2"));
    ASSERT_TRUE(put("other", "x"));
    auto watch = *log_->watch("w/", start);
    std::jthread writer([&] {
        for (int i = 0; i < 200; i++) ASSERT_TRUE(put("w/" + std::to_string(i % 7), std::to_string(i)));
        ASSERT_TRUE(remove("w/a"));
    });
    std::vector<EventPtr> events;
    while (events.empty() || events.back()->type != Event::Type::removed) {
        auto batch = *watch->next(system_clock().now() + std::chrono::seconds(5), {});
        events.insert(events.end(), batch.events.begin(), batch.events.end());
    }
    ASSERT_EQ(events.size(), 202u);
    EXPECT_EQ(events[0]->value, "2");
    EXPECT_EQ(events[0]->previous_value, "1");
    EXPECT_EQ(events[0]->type, Event::Type::updated);
    EXPECT_EQ(events[1]->type, Event::Type::created);
    for (size_t i = 1; i < events.size(); i++) EXPECT_LT(events[i - 1]->revision, events[i]->revision);
    EXPECT_EQ(events.back()->previous_value, "2");
}

TEST_F(LogTest, a_watcher_that_does_not_read_is_dropped_and_disturbs_nobody) {
    auto slow = *log_->watch("w/", log_->revision());
    auto other = *log_->watch("other/", log_->revision());
    Revision last = 0;
    for (size_t written = 0; written <= watch_buffer_events_max; written += 256) {
        last = *log_->write([&](Transaction& transaction) -> Status {
            for (int i = 0; i < 256; i++) TRY(transaction.put("w/k", std::to_string(i), {}));
            return {};
        });
    }
    EXPECT_EQ(slow->next(system_clock().now(), {}).error().code, Code::gone);
    EXPECT_EQ(log_->counters().watchers_dropped, 1u);
    const auto quiet = *other->next(system_clock().now(), {});
    EXPECT_TRUE(quiet.events.empty());
    EXPECT_EQ(quiet.progress, last);
}

TEST_F(LogTest, a_watch_ends_its_wait_when_it_is_stopped) {
    auto watch = *log_->watch("w/", log_->revision());
    std::stop_source stop;
    std::jthread stopper([&] { stop.request_stop(); });
    EXPECT_TRUE(watch->next(system_clock().now() + std::chrono::minutes(5), stop.get_token())->events.empty());
}

TEST_F(LogTest, compaction_forgets_old_snapshots_but_never_the_present) {
    const Revision first = *put("k/a", "1");
    ASSERT_TRUE(put("k/b", "1"));
    const Revision second = *put("k/a", "2");
    const Revision removal = *remove("k/b");
    ASSERT_TRUE(put("k/c", "1"));
    ASSERT_TRUE(log_->compact(removal));
    EXPECT_EQ(log_->compacted(), removal);
    EXPECT_EQ(log_->range("k/", {.revision = first}).error().code, Code::gone);
    EXPECT_EQ(log_->watch("k/", second).error().code, Code::gone);
    EXPECT_EQ(drain(**log_->watch("k/", removal), log_->revision()).size(), 1u);
    const auto now = *log_->range("k/");
    ASSERT_EQ(now.entries.size(), 2u);
    EXPECT_EQ(now.entries[0].value, "2");
    reopen();
    EXPECT_EQ(log_->compacted(), removal) << "and it is remembered";
    EXPECT_EQ(*put("k/b", "2", 0), now.revision + 1);
}

TEST_F(LogTest, history_is_kept_for_five_minutes) {
    const Revision first = *put("k", "1");
    ASSERT_TRUE(put("k", "2"));
    clock_.advance(history_age_min - std::chrono::seconds(1));
    ASSERT_TRUE(log_->maintain());
    EXPECT_TRUE(log_->watch("k", first));
    clock_.advance(history_age_min);
    ASSERT_TRUE(log_->maintain());
    EXPECT_EQ(log_->watch("k", first).error().code, Code::gone);
}

TEST_F(LogTest, revisions_go_on_after_a_restart_and_never_repeat) {
    ASSERT_TRUE(put("a", "1"));
    const Revision last = *remove("a");
    const std::string id = log_->cluster_id();
    ASSERT_TRUE(log_->compact(last));
    reopen();
    EXPECT_EQ(log_->cluster_id(), id);
    EXPECT_EQ(log_->revision(), last);
    EXPECT_EQ(*put("b", "1"), last + 1);
}

TEST_F(LogTest, an_older_or_lost_database_is_refused_until_forced) {
    ASSERT_TRUE(put("a", "1"));
    ASSERT_TRUE(log_->maintain());  // checkpoint: the file alone is the whole store
    log_.reset();
    const std::string backup = *read_file(path());
    reopen();
    const Revision last = *put("a", "2");
    log_.reset();
    ASSERT_TRUE(write_file(path(), backup));
    auto refused = Log::open({.path = path(), .background = false});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::conflict);
    EXPECT_NE(refused.error().message.find("older"), std::string::npos);
    reopen(true);
    EXPECT_EQ(log_->get("a").value()->value, "1");
    EXPECT_GT(log_->revision(), last) << "no revision is given twice";
    EXPECT_EQ(log_->watch("a", last).error().code, Code::gone) << "watchers list again";

    log_.reset();
    ASSERT_EQ(unlink(path().c_str()), 0);
    EXPECT_EQ(Log::open({.path = path(), .background = false}).error().code, Code::conflict);
    reopen(true);
}

TEST_F(LogTest, a_newer_schema_is_refused_by_name) {
    log_.reset();
    {
        auto database = *Database::open(path(), Database::Use::write, "");
        ASSERT_TRUE(database.execute("PRAGMA user_version=99"));
    }
    const auto opened = Log::open({.path = path(), .background = false});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Code::invalid);
    EXPECT_NE(opened.error().message.find("newer weft"), std::string::npos);
}

TEST_F(LogTest, waiting_for_a_revision_ends_when_it_comes_or_the_time_is_over) {
    const Revision next = log_->revision() + 1;
    EXPECT_FALSE(log_->wait_for(next, system_clock().now() + std::chrono::milliseconds(10)));
    std::jthread writer([&] { ASSERT_TRUE(put("a", "1")); });
    EXPECT_TRUE(log_->wait_for(next, system_clock().now() + std::chrono::seconds(10)));
}

// Holds the writer thread inside a write until it goes.
class Plug {
public:
    explicit Plug(Log& log)
        : thread_([this, &log] {
              (void)log.write([this](Transaction&) -> Status {
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

TEST_F(LogTest, a_write_whose_time_is_over_before_its_turn_is_not_made_API_75) {
    const auto late = [&](MonotonicTime until) {
        return log_->write(
            [&](Transaction& transaction) -> Status {
                TRY(transaction.put("late", "1", {}));
                return {};
            },
            until);
    };
    {
        const Plug plug(*log_);
        EXPECT_EQ(late(system_clock().now() + std::chrono::milliseconds(10)).error().code, Code::timeout);
    }
    ASSERT_TRUE(put("after", "1"));
    EXPECT_FALSE(*log_->get("late"));
    EXPECT_TRUE(late(system_clock().now() + std::chrono::seconds(30)));
}

TEST_F(LogTest, the_wal_stays_short_however_much_is_written) {
    const std::string value(4096, 'x');
    for (int batch = 0; batch < 60; batch++) {
        ASSERT_TRUE(log_->write([&](Transaction& transaction) -> Status {
            for (int i = 0; i < 256; i++) TRY(transaction.put(fmt::format("w/{}", i), value, {}));
            return {};
        }));
    }
    struct stat wal = {};
    ASSERT_EQ(stat((path() + "-wal").c_str(), &wal), 0);
    printf("WAL: %ld KiB after %d KiB of values\n", long(wal.st_size / 1024), 60 * 256 * 4);
    EXPECT_LE(wal.st_size, 2 * int64_t(wal_pages_max) * 4096);
}

TEST_F(LogTest, many_writers_share_batches_and_all_land) {
    std::vector<std::jthread> writers;
    for (int w = 0; w < 16; w++) {
        writers.emplace_back([&, w] {
            for (int i = 0; i < 20; i++) ASSERT_TRUE(put(fmt::format("m/{}-{}", w, i), "x", 0));
        });
    }
    writers.clear();
    EXPECT_EQ(log_->range("m/")->entries.size(), 320u);
    const auto counters = log_->counters();
    EXPECT_EQ(counters.writes, 320u);
    EXPECT_LE(counters.batches, counters.writes);
    RecordProperty("batches", int(counters.batches));
}

}  // namespace
}  // namespace weft::store
