#include "io/buffer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace weft::io {

namespace {
constexpr size_t first_capacity = 4096;
}

std::span<char> Buffer::prepare(size_t n) {
    if (capacity_ - end_ < n) {
        const size_t used = size();
        if (capacity_ >= used + n && begin_ >= used) {
            // Enough room in front, and the move is no longer than what was consumed: amortised constant.
            std::memcpy(data_, data_ + begin_, used);
        } else {
            const size_t capacity = std::max({first_capacity, used + n, capacity_ * 2});
            char* bigger = static_cast<char*>(std::malloc(capacity));
            ENSURE(bigger != nullptr);
            if (used > 0) std::memcpy(bigger, data_ + begin_, used);
            std::free(data_);
            data_ = bigger;
            capacity_ = capacity;
        }
        begin_ = 0;
        end_ = used;
    }
    return {data_ + end_, capacity_ - end_};
}

void Buffer::append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(prepare(bytes.size()).data(), bytes.data(), bytes.size());
    commit(bytes.size());
}

void Buffer::release() {
    if (data_ == nullptr) return;
    std::free(data_);
    data_ = nullptr;
    capacity_ = begin_ = end_ = 0;
}

void Buffer::swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
}

}  // namespace weft::io
