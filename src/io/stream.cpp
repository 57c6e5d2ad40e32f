#include "io/stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "io/socket.h"

namespace weft::io {

namespace {

class PlainStream final : public Stream {
public:
    explicit PlainStream(Fd fd) : fd_(std::move(fd)) {}

    Result<size_t> read(std::span<char> into) override {
        for (;;) {
            const ssize_t n = ::recv(fd_.get(), into.data(), into.size(), 0);
            if (n >= 0) return size_t(n);
            if (errno == ECONNRESET) return fail(Code::unavailable, "read: the other end reset the connection");
            if (errno == EINTR) continue;
            if (errno != EAGAIN) return fail_errno("read");
            if (TRY(wait_for(fd_.get(), POLLIN, read_timeout_)) == 0)
                return fail(Code::timeout, "read: nothing came in time");
        }
    }

    Status write(std::string_view bytes) override {
        while (!bytes.empty()) {
            const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n >= 0) {
                bytes.remove_prefix(size_t(n));
                continue;
            }
            if (errno == EPIPE || errno == ECONNRESET) return fail(Code::unavailable, "write: the other end is gone");
            if (errno == EINTR) continue;
            if (errno != EAGAIN) return fail_errno("write");
            if (TRY(wait_for(fd_.get(), POLLOUT, write_timeout_)) == 0) {
                return fail(Code::timeout, "write: the other end took nothing in time");
            }
        }
        return {};
    }

    void finish_writing() override { ::shutdown(fd_.get(), SHUT_WR); }
    void shutdown() override { ::shutdown(fd_.get(), SHUT_RDWR); }

    void set_timeouts(Duration read, Duration write) override {
        read_timeout_ = read;
        write_timeout_ = write;
    }

    int fd() const override { return fd_.get(); }

private:
    Fd fd_;
    Duration read_timeout_ = no_timeout, write_timeout_ = no_timeout;
};

}  // namespace

std::unique_ptr<Stream> plain_stream(Fd fd) {
    set_no_delay(fd.get());
    (void)set_nonblocking(fd.get(), true);
    return std::make_unique<PlainStream>(std::move(fd));
}

}  // namespace weft::io
