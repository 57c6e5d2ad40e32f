// What was acknowledged is never lost: cut at every write of a disk that forgets what was not synced, and kill -9 in a
// loop.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/fd.h"
#include "base/log.h"
#include "base/strings.h"
#include "store/forgetful_vfs.h"
#include "store/log.h"

namespace weft::store {
namespace {

class DurabilityTest : public testing::Test {
protected:
    DurabilityTest()
        : dir_("/tmp/weft-durability-test-" + std::to_string(getpid())),
          disk_("forgetful"),
          nowhere_(::open("/dev/null", O_WRONLY | O_CLOEXEC)) {
        log::set_fd(nowhere_.get());  // hundreds of refused commits are the point here
        wipe();
    }

    ~DurabilityTest() override {
        log::set_fd(2);
        EXPECT_TRUE(remove_tree(dir_));
    }

    void wipe() {
        EXPECT_TRUE(remove_tree(dir_));
        EXPECT_TRUE(make_directories(dir_));
        disk_.forget_everything();
    }

    Result<std::unique_ptr<Log>> open() {
        return Log::open({.path = dir_ + "/store.db", .vfs = "forgetful", .background = false});
    }

    // A fixed story of creates, updates, removals and compactions; every acknowledged state is noted before going on.
    void live(Log& log, std::map<std::string, std::string>& acknowledged,
              std::map<std::string, std::string>& attempted) {
        for (int i = 0; i < 12; i++) {
            const std::string key = "k/" + std::to_string(i % 5);
            const bool removes = i % 4 == 3 && acknowledged.contains(key);
            const std::string value = removes ? "" : "value-" + std::to_string(i) + std::string(size_t(i) * 700, 'x');
            attempted = acknowledged;
            if (removes) attempted.erase(key);
            else attempted[key] = value;
            const auto written = log.write([&](Transaction& transaction) -> Status {
                if (removes) TRY(transaction.remove(key, {}));
                else TRY(transaction.put(key, value, {}));
                return {};
            });
            if (!written) return;
            acknowledged = attempted;
            if (i % 5 == 4 && (!log.compact(log.revision() - 1) || !log.maintain())) return;
        }
    }

    std::map<std::string, std::string> content(Log& log) {
        std::map<std::string, std::string> all;
        const auto range = *log.range("k/");
        for (const Entry& entry : range.entries) all[entry.key] = entry.value;
        return all;
    }

    const std::string dir_;
    ForgetfulVfs disk_;
    Fd nowhere_;
};

TEST_F(DurabilityTest, no_acknowledged_write_is_lost_wherever_the_power_is_cut) {
    int64_t cuts = 0;
    for (int64_t cut = 0;; cut++) {
        wipe();
        std::map<std::string, std::string> acknowledged, attempted;
        disk_.die_at_write(cut);
        Revision revision = 0;
        if (auto log = open()) {
            live(**log, acknowledged, attempted);
            revision = (*log)->revision();
        }
        const bool was_cut = disk_.dead();
        disk_.power_cut();
        auto again = open();
        ASSERT_TRUE(again) << "cut at write " << cut << ": " << again.error().message;
        const auto found = content(**again);
        ASSERT_TRUE(found == acknowledged || found == attempted) << "cut at write " << cut;
        ASSERT_GE((*again)->revision(), revision) << "cut at write " << cut;
        ASSERT_TRUE((*again)->write([](Transaction& transaction) -> Status {
            TRY(transaction.put("after", "1", {}));
            return {};
        }));
        if (!was_cut) break;
        cuts++;
    }
    printf("cut at each of %ld writes\n", long(cuts));
    EXPECT_GT(cuts, 50);
}

TEST_F(DurabilityTest, a_batch_costs_one_sync_however_many_writes_it_carries) {
    auto log = *open();
    ASSERT_TRUE(log->write([](Transaction& transaction) -> Status {
        TRY(transaction.put("first", "1", {}));
        return {};
    }));
    const int64_t syncs_before = disk_.syncs();
    const auto before = log->counters();
    std::vector<std::jthread> writers;
    for (int w = 0; w < 8; w++) {
        writers.emplace_back([&, w] {
            for (int i = 0; i < 25; i++) {
                ASSERT_TRUE(log->write([&](Transaction& transaction) -> Status {
                    TRY(transaction.put(fmt::format("s/{}/{}", w, i), "x", 0));
                    return {};
                }));
            }
        });
    }
    writers.clear();
    const auto after = log->counters();
    printf("%ld writes, %ld batches, %ld syncs\n", long(after.writes - before.writes),
           long(after.batches - before.batches), long(disk_.syncs() - syncs_before));
    EXPECT_EQ(after.writes - before.writes, 200u);
    EXPECT_EQ(disk_.syncs() - syncs_before, int64_t(after.batches - before.batches));
    EXPECT_LT(after.batches - before.batches, 200u) << "nobody shared a batch";
}

TEST_F(DurabilityTest, a_full_disk_refuses_writes_lets_reads_go_on_and_recovers_alone) {
    auto log = *open();
    const auto put = [&](std::string value) {
        return log->write([&](Transaction& transaction) -> Status {
            TRY(transaction.put("k/a", value, {}));
            return {};
        });
    };
    const Revision before = *put("1");
    auto watch = *log->watch("k/", before);
    disk_.set_full(true);
    const auto refused = put("2");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::io);
    EXPECT_NE(refused.error().message.find("full"), std::string::npos) << refused.error().message;
    EXPECT_FALSE(log->writable());
    EXPECT_EQ(log->get("k/a").value()->value, "1");
    EXPECT_TRUE(watch->next(system_clock().now(), {})->events.empty());
    disk_.set_full(false);
    EXPECT_EQ(*put("3"), before + 1) << "a refused write uses no revision";
    EXPECT_TRUE(log->writable());
    EXPECT_EQ(watch->next(system_clock().now() + std::chrono::seconds(5), {})->events.size(), 1u);
}

// The child writes and prints each acknowledged number through a pipe; it is killed at an arbitrary moment.
TEST_F(DurabilityTest, kill_9_under_writers_loses_no_acknowledged_write) {
    const std::string path = dir_ + "/killed.db";
    for (int round = 0; round < 8; round++) {
        int pipe_ends[2];
        ASSERT_EQ(pipe(pipe_ends), 0);
        const pid_t child = fork();
        if (child == 0) {
            auto log = Log::open({.path = path});
            if (!log) _exit(1);
            std::vector<std::jthread> writers;
            for (int w = 0; w < 4; w++) {
                writers.emplace_back([&, w] {
                    for (int i = 0;; i++) {
                        const std::string key = fmt::format("r{}/w{}/{:08}", round, w, i);
                        const auto written = (*log)->write([&](Transaction& transaction) -> Status {
                            TRY(transaction.put(key, "x", 0));
                            return {};
                        });
                        const std::string line = key + "\n";
                        if (!written || ::write(pipe_ends[1], line.data(), line.size()) < 0) _exit(2);
                    }
                });
            }
            writers.clear();
        }
        close(pipe_ends[1]);
        std::string acknowledged;
        char buffer[4096];
        const size_t enough = 4000 + size_t(round) * 777;  // bytes of acknowledgements, then the kill
        while (acknowledged.size() < enough) {
            const ssize_t size = ::read(pipe_ends[0], buffer, sizeof buffer);
            if (size <= 0) break;
            acknowledged.append(buffer, size_t(size));
        }
        kill(child, SIGKILL);
        while (true) {
            const ssize_t size = ::read(pipe_ends[0], buffer, sizeof buffer);
            if (size <= 0) break;
            acknowledged.append(buffer, size_t(size));
        }
        close(pipe_ends[0]);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself";
        auto log = Log::open({.path = path, .background = false});
        ASSERT_TRUE(log) << log.error().message;
        size_t checked = 0;
        acknowledged.resize(acknowledged.rfind('\n'));  // the last line may be cut
        for (const std::string_view key : split(acknowledged, '\n')) {
            ASSERT_TRUE((*log)->get(key)->has_value()) << "round " << round << " lost " << key;
            checked++;
        }
        EXPECT_GT(checked, 100u);
    }
}

}  // namespace
}  // namespace weft::store
