// History: what writers were told and what readers saw, and the judge who compares both with the whole log of changes
// (a watch from the beginning, after the last crash).
//
//   writers   an acknowledged write stands at its revision, right after the revision it named; a refused one nowhere;
//             one without an answer at most once; every change was asked for by somebody
//   readers   a list is the state at its revision; after it every change of its scope comes, in order, none twice, none
//             left out; a bookmark names no revision whose changes were not all told, and none told afterwards
//
// Used by store_fire_test.cpp. Threads: one after the other; every writer and reader owns its own record.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace weft::test {

// One change as a watch tells it. `token` names the write: every write puts another one into its object.
struct Change {
    int64_t revision = 0;
    std::string type;  // ADDED, MODIFIED, DELETED
    std::string key;   // namespace/name
    std::string token;

    bool operator==(const Change&) const = default;
};

struct Attempt {
    enum class Verb : uint8_t { create, replace, remove };
    enum class Outcome : uint8_t { acknowledged, refused, unknown };
    static constexpr int64_t unconditional = -1;

    Verb verb = Verb::create;
    std::string key, token;  // a removal has no token
    int64_t expected = 0;    // the revision named as precondition
    Outcome outcome = Outcome::unknown;
    int64_t revision = 0;  // of an acknowledged create or replace
};

struct Listed {
    int64_t revision = 0;
    std::string token;

    bool operator==(const Listed&) const = default;
};

using State = std::map<std::string, Listed>;  // by key

// One list and everything watched after it, over all reconnections.
struct Session {
    struct Bookmark {
        int64_t revision = 0;
        size_t after = 0;  // changes told before it
    };

    std::string scope;  // namespace + "/", "" = all
    int64_t listed_at = 0;
    State listed;
    std::vector<Change> changes;
    std::vector<Bookmark> bookmarks;
};

class Judge {
public:
    // The whole log of changes, of a world that began empty.
    explicit Judge(std::vector<Change> truth);

    // Each adds its complaints, at most complaints_max in all.
    void hear(const std::vector<Attempt>& attempts);  // of all writers together
    void hear(const std::string& reader, const Session& session);
    void hear_end(const State& last);

    const std::vector<std::string>& complaints() const { return complaints_; }

private:
    static constexpr size_t complaints_max = 20;

    void complain(std::string text);
    State state_at(int64_t revision, const std::string& scope) const;

    const std::vector<Change> truth_;
    std::map<std::string, size_t> by_token_;
    std::map<size_t, const Change*> before_;  // the change of the same key before it; nullptr: none
    std::vector<std::string> complaints_;
};

}  // namespace weft::test
