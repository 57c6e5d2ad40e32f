#include "kube/work_queue.h"

#include <gtest/gtest.h>

namespace weft::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
const ObjectKey web{"default", "web"};
const ObjectKey api{"default", "api"};

TEST(WorkQueue, ManyAddsOfOneKeyAreOneLook) {
    WorkQueue queue;
    FakeClock clock;
    for (int i = 0; i < 5; i++) queue.add(web);
    queue.add(api);
    EXPECT_EQ(queue.pop(clock.now()), web);
    EXPECT_EQ(queue.pop(clock.now()), api);
    EXPECT_FALSE(queue.pop(clock.now()));
    EXPECT_TRUE(queue.idle());
}

TEST(WorkQueue, AKeyAddedWhileItIsLookedAtComesAgain) {
    WorkQueue queue;
    FakeClock clock;
    queue.add(web);
    EXPECT_EQ(queue.pop(clock.now()), web);
    queue.add(web);
    EXPECT_EQ(queue.pop(clock.now()), web);
}

TEST(WorkQueue, BackOffDoublesFromFiveMillisecondsAndStopsAtThirtySeconds) {
    WorkQueue queue;
    FakeClock clock;
    Duration expected = WorkQueue::backoff_first;
    for (int i = 0; i < 20; i++) {
        queue.failed(web, clock.now());
        ASSERT_TRUE(queue.next_due());
        EXPECT_EQ(*queue.next_due() - clock.now(), expected) << "failure " << i;
        clock.advance(expected - milliseconds(1));
        EXPECT_FALSE(queue.pop(clock.now()));
        clock.advance(milliseconds(1));
        EXPECT_EQ(queue.pop(clock.now()), web);
        expected = std::min<Duration>(expected * 2, WorkQueue::backoff_max);
    }
    queue.succeeded(web);
    queue.failed(web, clock.now());
    EXPECT_EQ(*queue.next_due() - clock.now(), WorkQueue::backoff_first);
}

TEST(WorkQueue, AnEarlierTimeWinsAndALaterOneIsIgnored) {
    WorkQueue queue;
    FakeClock clock;
    queue.add_after(web, clock.now() + seconds(10));
    queue.add_after(web, clock.now() + seconds(2));
    queue.add_after(web, clock.now() + seconds(20));
    EXPECT_EQ(*queue.next_due(), clock.now() + seconds(2));
    clock.advance(seconds(2));
    EXPECT_EQ(queue.pop(clock.now()), web);
    EXPECT_FALSE(queue.next_due());
}

TEST(WorkQueue, ADelayedKeyThatIsAlsoReadyComesOnce) {
    WorkQueue queue;
    FakeClock clock;
    queue.add_after(web, clock.now());
    queue.add(web);
    EXPECT_EQ(queue.pop(clock.now()), web);
    EXPECT_FALSE(queue.pop(clock.now()));
}

}  // namespace
}  // namespace weft::kube
