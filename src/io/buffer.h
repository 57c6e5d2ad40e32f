// Buffer: bytes on their way from one socket to another: appended at the back, consumed at the front, contiguous.
//
// An empty Buffer that was released owns no memory, so idle connections cost none. Views are valid until the next
// append, prepare or release. Threads: one.
#pragma once
#include <span>
#include <string_view>

#include "base/result.h"

namespace weft::io {

class Buffer {
public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        swap(other);
        return *this;
    }
    ~Buffer() { release(); }

    std::string_view view() const { return {data_ + begin_, end_ - begin_}; }
    size_t size() const { return end_ - begin_; }
    bool empty() const { return begin_ == end_; }

    // Room for at least `n` more bytes at the back; write into it, then commit() what was written.
    std::span<char> prepare(size_t n);
    void commit(size_t n) {
        ENSURE(n <= capacity_ - end_);
        end_ += n;
    }
    void append(std::string_view bytes);
    void consume(size_t n) {
        ENSURE(n <= size());
        begin_ += n;
        if (begin_ == end_) begin_ = end_ = 0;
    }
    void clear() { begin_ = end_ = 0; }
    // Gives the memory back; only when empty.
    void release();

    void swap(Buffer& other) noexcept;

private:
    char* data_ = nullptr;
    size_t capacity_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace weft::io
