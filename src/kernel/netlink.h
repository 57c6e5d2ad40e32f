// Netlink: one rtnetlink socket, and Message, a request in the making. link.h and route.h speak through it.
//
// A socket belongs to the namespace it was opened in, so nothing here ever changes the caller's namespace. Errors carry
// the kernel's own explanation (extended acknowledgement) when it gives one. writes() counts the requests that may
// change something, for tests and for the promise that a restart changes nothing. together() sends several of them in one
// write: the kernel carries out each in turn, also after one that failed. Threads: one at a time per socket.
// Limits: message_bytes_max. Source: rtnetlink(7).
#pragma once
#include <linux/netlink.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "kernel/netns.h"

namespace weft::kernel {

inline constexpr size_t message_bytes_max = 4096;  // of a request; ours are a few hundred

class Message {
public:
    Message(uint16_t type, uint16_t flags);

    template <class Header>
    void header(const Header& value) {
        append(&value, sizeof(value));
    }

    void put(uint16_t type, const void* data, size_t bytes);
    void put_u8(uint16_t type, uint8_t value) { put(type, &value, sizeof(value)); }
    void put_u16(uint16_t type, uint16_t value) { put(type, &value, sizeof(value)); }
    void put_u32(uint16_t type, uint32_t value) { put(type, &value, sizeof(value)); }
    void put_string(uint16_t type, std::string_view text);  // with its terminating zero
    size_t begin(uint16_t type);                            // a nested attribute; end(begin(...))
    void end(size_t start);

    nlmsghdr* raw() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }

private:
    void append(const void* data, size_t bytes);

    std::vector<char> bytes_;
};

class Netlink {
public:
    static Result<Netlink> open(int protocol = NETLINK_ROUTE);  // in the calling thread's namespace
    static Result<Netlink> open(const Netns& netns);

    Status request(Message& message);  // sends and waits for the acknowledgement
    // Every request() that `ask` makes, sent when it returns. The first failure is the result, told by its place among them.
    Status together(const std::function<Status()>& ask);
    Status dump(Message& message, const std::function<void(const nlmsghdr&)>& on_message);

    uint64_t writes() const { return writes_; }
    int error_number() const { return error_number_; }  // errno of the last request, where a Code is too coarse
    static uint64_t sends();  // write calls of all sockets of this process
    Result<uint64_t> netns_cookie() const;  // of the namespace it was opened in

private:
    explicit Netlink(Fd fd) : fd_(std::move(fd)) {}

    struct Batch {
        std::vector<char> bytes;
        uint32_t first, count;  // sequence numbers
    };

    Status send(const void* bytes, size_t count);
    Status wait(uint32_t sequence, const std::function<void(const nlmsghdr&)>& on_message);
    Result<bool> receive(uint32_t sequence, const std::function<void(const nlmsghdr&)>& on_message);

    Fd fd_;
    int error_number_ = 0;
    uint32_t sequence_ = 0;
    uint64_t writes_ = 0;
    std::vector<char> buffer_;
    std::optional<Batch> batch_;
};

// The attributes of a message behind its fixed header: for_each_attribute(message, sizeof(ifinfomsg), visit).
void for_each_attribute(const nlmsghdr& message, size_t header_bytes,
                        const std::function<void(uint16_t type, const void* data, size_t bytes)>& visit);
void for_each_nested(const void* data, size_t bytes,
                     const std::function<void(uint16_t type, const void* data, size_t bytes)>& visit);

}  // namespace weft::kernel
