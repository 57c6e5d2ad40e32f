// Seen: a small file beside the database that remembers which database it was and how far it had come, so that a lost
// or an older one (a restored backup, a wrong folder) is noticed at start: clients would miss changes and revisions
// would repeat. It is written after every commit but not synced: the database is never behind it, after a power cut
// neither. Shape: "<cluster id> <revision, 20 digits>\n". Threads: one. Source: spec/kubernetes.md API-132.
#pragma once
#include <optional>
#include <string>

#include "base/fd.h"
#include "store/log.h"

namespace weft::store {

struct SeenState {
    std::string cluster_id;
    Revision revision = 0;
};

class Seen {
public:
    static Result<Seen> open(const std::string& path);

    const std::optional<SeenState>& found() const {
        return found_;
    }  // as it was when opened; nullopt: new or unreadable
    Status write(const SeenState& state);

private:
    Fd file_;
    std::optional<SeenState> found_;
};

}  // namespace weft::store
