#include "support/history.h"

#include <gtest/gtest.h>

#include <functional>

namespace weft::test {
namespace {

// The judge itself: every planted lie is found.
class JudgeTest : public testing::Test {
protected:
    static std::vector<Change> truth() {
        return {{5, "ADDED", "a/x", "w0"},
                {6, "MODIFIED", "a/x", "w1"},
                {7, "ADDED", "b/y", "w2"},
                {8, "DELETED", "a/x", "w1"}};
    }

    static std::vector<Attempt> attempts() {
        using enum Attempt::Verb;
        using enum Attempt::Outcome;
        return {{create, "a/x", "w0", 0, acknowledged, 5},
                {replace, "a/x", "w1", 5, unknown, 0},
                {replace, "a/x", "w9", 5, refused, 0},
                {create, "b/y", "w2", 0, acknowledged, 7},
                {remove, "a/x", "", 6, acknowledged, 0}};
    }

    static Session session() {
        return {"", 5, {{"a/x", {5, "w0"}}}, {truth()[1], truth()[2], truth()[3]}, {{7, 2}, {9, 3}}};
    }

    static size_t complaints(const std::vector<Attempt>& said, const Session& seen,
                             const State& end = {{"b/y", {7, "w2"}}}) {
        Judge judge(truth());
        judge.hear(said);
        judge.hear("reader", seen);
        judge.hear_end(end);
        return judge.complaints().size();
    }

    static size_t with(const std::function<void(std::vector<Attempt>&, Session&)>& lie) {
        auto said = attempts();
        auto seen = session();
        lie(said, seen);
        return complaints(said, seen);
    }
};

TEST_F(JudgeTest, finds_every_lie_and_nothing_in_the_truth) {
    EXPECT_EQ(complaints(attempts(), session()), 0u);
    EXPECT_NE(complaints(attempts(), session(), {}), 0u) << "the last list";
    EXPECT_NE(Judge({{5, "ADDED", "a/x", "w0"}, {6, "ADDED", "a/y", "w0"}}).complaints().size(), 0u) << "done twice";
    EXPECT_NE(with([](auto& said, auto&) { said[3].token = "lost"; }), 0u) << "acknowledged and lost";
    EXPECT_NE(with([](auto& said, auto&) { said[2].token = "w1"; }), 0u) << "refused and done";
    EXPECT_NE(with([](auto& said, auto&) { said[0].revision = 4; }), 0u) << "another revision";
    EXPECT_NE(with([](auto& said, auto&) { said[1].expected = 4; }), 0u) << "precondition";
    EXPECT_NE(with([](auto& said, auto&) { said.push_back(said[4]); }), 0u) << "removed twice";
    EXPECT_NE(with([](auto& said, auto&) { said.pop_back(); }), 0u) << "nobody asked";
    EXPECT_NE(with([](auto&, auto& seen) { seen.listed.clear(); }), 0u) << "list";
    EXPECT_NE(with([](auto&, auto& seen) { seen.changes.erase(seen.changes.begin() + 1); }), 0u) << "gap";
    EXPECT_NE(with([](auto&, auto& seen) { seen.changes.push_back(seen.changes.back()); }), 0u) << "twice";
    EXPECT_NE(with([](auto&, auto& seen) { std::swap(seen.changes[0], seen.changes[1]); }), 0u) << "order";
    EXPECT_NE(with([](auto&, auto& seen) { seen.bookmarks[0].after = 1; }), 0u) << "a bookmark too early";
    EXPECT_NE(with([](auto&, auto& seen) { seen.bookmarks[0] = {6, 2}; }), 0u) << "a bookmark too late";
}

}  // namespace
}  // namespace weft::test
