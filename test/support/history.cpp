#include "support/history.h"

#include <fmt/format.h>

#include <set>

namespace weft::test {

static bool in_scope(const std::string& key, const std::string& scope) {
    return key.starts_with(scope);
}

static std::string text(const Change& change) {
    return fmt::format("{} {} {} {}", change.revision, change.type, change.key, change.token);
}

Judge::Judge(std::vector<Change> truth) : truth_(std::move(truth)) {
    std::map<std::string, const Change*> last;
    int64_t revision = 0;
    for (size_t i = 0; i < truth_.size(); i++) {
        const Change& change = truth_[i];
        if (change.revision <= revision) complain("the log goes back: " + text(change));
        revision = change.revision;
        const Change*& before = last.try_emplace(change.key, nullptr).first->second;
        const bool existed = before != nullptr && before->type != "DELETED";
        if ((change.type == "ADDED") == existed) complain("the log contradicts itself: " + text(change));
        before_[i] = before;
        before = &change;
        if (change.type != "DELETED" && !by_token_.emplace(change.token, i).second)
            complain("one write stands twice: " + text(change));
    }
}

void Judge::complain(std::string text) {
    if (complaints_.size() < complaints_max) complaints_.push_back(std::move(text));
}

State Judge::state_at(int64_t revision, const std::string& scope) const {
    State state;
    for (const Change& change : truth_) {
        if (change.revision > revision) break;
        if (!in_scope(change.key, scope)) continue;
        if (change.type == "DELETED")
            state.erase(change.key);
        else
            state[change.key] = {change.revision, change.token};
    }
    return state;
}

void Judge::hear(const std::vector<Attempt>& attempts) {
    using Outcome = Attempt::Outcome;
    std::map<std::string, const Attempt*> by_token;
    std::set<std::pair<std::string, int64_t>> removed, maybe_removed;
    for (const Attempt& attempt : attempts) {
        const std::string what = fmt::format("{} {} (precondition {}, acknowledged at {})", attempt.key, attempt.token,
                                             attempt.expected, attempt.revision);
        if (attempt.verb == Attempt::Verb::remove) {
            if (attempt.outcome == Outcome::refused) continue;
            maybe_removed.emplace(attempt.key, attempt.expected);
            if (attempt.outcome == Outcome::acknowledged && !removed.emplace(attempt.key, attempt.expected).second)
                complain("one object was removed twice: " + what);
            continue;
        }
        by_token[attempt.token] = &attempt;
        const auto found = by_token_.find(attempt.token);
        if (attempt.outcome == Outcome::refused && found != by_token_.end()) complain("refused, and done: " + what);
        if (found == by_token_.end()) {
            if (attempt.outcome == Outcome::acknowledged) complain("acknowledged, and lost: " + what);
            continue;
        }
        const Change& change = truth_[found->second];
        const Change* const before = before_.at(found->second);
        const int64_t stood = before == nullptr || before->type == "DELETED" ? 0 : before->revision;
        if (attempt.outcome == Outcome::acknowledged && change.revision != attempt.revision)
            complain("acknowledged at another revision: " + what + ", is " + text(change));
        if (attempt.expected != Attempt::unconditional && stood != attempt.expected)
            complain(fmt::format("done although {} stood there: {}", stood, what));
    }
    for (size_t i = 0; i < truth_.size(); i++) {
        const Change& change = truth_[i];
        if (change.type != "DELETED") {
            if (!by_token.contains(change.token)) complain("nobody asked for " + text(change));
            continue;
        }
        const std::pair<std::string, int64_t> removal(change.key,
                                                      before_.at(i) == nullptr ? 0 : before_.at(i)->revision);
        if (!maybe_removed.contains(removal)) complain("nobody asked for " + text(change));
        removed.erase(removal);
    }
    for (const auto& [key, revision] : removed)
        complain(fmt::format("the removal of {} at {} was acknowledged, and lost", key, revision));
}

void Judge::hear(const std::string& reader, const Session& session) {
    if (session.listed != state_at(session.listed_at, session.scope))
        complain(fmt::format("{}: the list at {} is not what stood then", reader, session.listed_at));
    std::vector<const Change*> wanted;
    for (const Change& change : truth_)
        if (change.revision > session.listed_at && in_scope(change.key, session.scope)) wanted.push_back(&change);
    for (size_t i = 0; i < session.changes.size(); i++) {
        const std::string place = fmt::format("{}: change {} after the list at {} is {}", reader, i, session.listed_at,
                                              text(session.changes[i]));
        if (i >= wanted.size()) return complain(place + ", which the log does not have");
        if (session.changes[i] != *wanted[i]) return complain(place + ", should be " + text(*wanted[i]));
    }
    for (const Session::Bookmark& bookmark : session.bookmarks) {
        const bool early = bookmark.after < wanted.size() && wanted[bookmark.after]->revision <= bookmark.revision;
        const bool late = bookmark.after > 0 && wanted[bookmark.after - 1]->revision > bookmark.revision;
        if (early || late)
            complain(fmt::format("{}: the bookmark {} after {} changes is not true", reader, bookmark.revision,
                                 bookmark.after));
    }
}

void Judge::hear_end(const State& last) {
    if (last != state_at(INT64_MAX, "")) complain("the last list is not what the log adds up to");
}

}  // namespace weft::test
