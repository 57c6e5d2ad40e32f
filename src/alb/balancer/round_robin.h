// RoundRobin: each group's endpoints in turn. Every hand has its own turn counter, so hands share nothing; they begin
// at different places. Threads: one hand's.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace weft::alb {

class RoundRobin {
public:
    explicit RoundRobin(uint32_t first) : first_(first) {}

    // The next of `n` endpoints of a group (n > 0).
    size_t next(uint32_t group, size_t n) {
        if (group >= turns_.size()) turns_.resize(group + 1, first_);
        return turns_[group]++ % n;
    }

private:
    uint32_t first_;
    std::vector<uint32_t> turns_;  // by group
};

}  // namespace weft::alb
