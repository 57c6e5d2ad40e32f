// Rollback: the undo steps of something made in several steps; run last-first unless dismissed.
#pragma once
#include <functional>
#include <utility>
#include <vector>

namespace weft {

class Rollback {
public:
    Rollback() = default;
    Rollback(const Rollback&) = delete;
    Rollback& operator=(const Rollback&) = delete;

    ~Rollback() {
        for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) (*step)();
    }

    void on_failure(std::function<void()> undo) { steps_.push_back(std::move(undo)); }

    void dismiss() { steps_.clear(); }

private:
    std::vector<std::function<void()>> steps_;
};

}  // namespace weft
