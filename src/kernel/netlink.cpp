#include "kernel/netlink.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/metrics.h"

namespace weft::kernel {
namespace {

constexpr size_t receive_bytes = 64 * 1024;
constexpr int so_netns_cookie = 71;  // SO_NETNS_COOKIE, 5.14

std::atomic<uint64_t> sends_of_process{0};

// The kernel's text in an extended acknowledgement, "" without one.
std::string explanation(const nlmsghdr& message, const nlmsgerr& error) {
    if ((message.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
    size_t before = sizeof(nlmsgerr);
    if ((message.nlmsg_flags & NLM_F_CAPPED) == 0 && error.msg.nlmsg_len > sizeof(nlmsghdr))
        before += NLMSG_ALIGN(error.msg.nlmsg_len) - sizeof(nlmsghdr);
    std::string text;
    for_each_attribute(message, before, [&](uint16_t type, const void* data, size_t bytes) {
        if (type == NLMSGERR_ATTR_MSG && bytes > 0) text.assign(static_cast<const char*>(data), bytes - 1);
    });
    return text;
}

}  // namespace

Message::Message(uint16_t type, uint16_t flags) {
    bytes_.reserve(512);
    const nlmsghdr header{.nlmsg_len = sizeof(nlmsghdr),
                          .nlmsg_type = type,
                          .nlmsg_flags = uint16_t(NLM_F_REQUEST | flags),
                          .nlmsg_seq = 0,
                          .nlmsg_pid = 0};
    append(&header, sizeof(header));
}

void Message::append(const void* data, size_t bytes) {
    const size_t at = bytes_.size();
    bytes_.resize(at + NLMSG_ALIGN(bytes));  // the padding is zero
    if (bytes > 0) std::memcpy(bytes_.data() + at, data, bytes);
    ENSURE(bytes_.size() <= message_bytes_max);
    raw()->nlmsg_len = uint32_t(bytes_.size());
}

void Message::put(uint16_t type, const void* data, size_t bytes) {
    const nlattr attribute{.nla_len = uint16_t(sizeof(nlattr) + bytes), .nla_type = type};
    append(&attribute, sizeof(attribute));
    append(data, bytes);
}

void Message::put_string(uint16_t type, std::string_view text) {
    const std::string terminated(text);
    put(type, terminated.c_str(), terminated.size() + 1);
}

size_t Message::begin(uint16_t type) {
    const size_t start = bytes_.size();
    put(type, nullptr, 0);
    return start;
}

void Message::end(size_t start) {
    reinterpret_cast<nlattr*>(bytes_.data() + start)->nla_len = uint16_t(bytes_.size() - start);
}

Result<Netlink> Netlink::open(int protocol) {
    Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
    if (!fd) return fail_errno("open netlink");
    const int on = 1;
    // Refused only by kernels older than any we support; then errors are merely shorter.
    ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
    ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
    const sockaddr_nl local{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0)
        return fail_errno("bind rtnetlink");
    Netlink netlink(std::move(fd));
    netlink.buffer_.resize(receive_bytes);
    return netlink;
}

Result<Netlink> Netlink::open(const Netns& netns) {
    return netns.run([]() -> Result<Netlink> { return open(); });
}

uint64_t Netlink::sends() { return sends_of_process.load(std::memory_order_relaxed); }

Result<uint64_t> Netlink::netns_cookie() const {
    uint64_t cookie = 0;
    socklen_t bytes = sizeof(cookie);
    if (::getsockopt(fd_.get(), SOL_SOCKET, so_netns_cookie, &cookie, &bytes) != 0)
        return fail_errno("network namespace cookie");
    return cookie;
}

Status Netlink::send(const void* bytes, size_t count) {
    sends_of_process.fetch_add(1, std::memory_order_relaxed);
    while (::send(fd_.get(), bytes, count, 0) < 0) {
        if (errno != EINTR) return fail_errno("rtnetlink send");
    }
    return {};
}

// Reads one datagram; true when the answer is complete.
Result<bool> Netlink::receive(uint32_t sequence, const std::function<void(const nlmsghdr&)>& on_message) {
    const ssize_t received = ::recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (received < 0) {
        if (errno == EINTR) return false;
        return fail_errno("rtnetlink receive");
    }
    size_t left = size_t(received);
    for (const auto* at = reinterpret_cast<const nlmsghdr*>(buffer_.data()); NLMSG_OK(at, left);
         at = NLMSG_NEXT(at, left)) {
        if (at->nlmsg_seq != sequence) continue;
        if (at->nlmsg_flags & NLM_F_DUMP_INTR) return fail(Code::conflict, "rtnetlink dump interrupted by a change");
        if (at->nlmsg_type == NLMSG_DONE) return true;
        if (at->nlmsg_type == NLMSG_ERROR) {
            const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(at));
            error_number_ = -error->error;
            if (error->error == 0) return true;
            const std::string why = explanation(*at, *error);
            Error failure = errno_error(-error->error, "rtnetlink");
            if (!why.empty()) failure.message += " (" + why + ")";
            return fail(failure);
        }
        if (on_message) on_message(*at);
    }
    return false;
}

Status Netlink::wait(uint32_t sequence, const std::function<void(const nlmsghdr&)>& on_message) {
    while (!TRY(receive(sequence, on_message))) {
    }
    return {};
}

Status Netlink::request(Message& message) {
    nlmsghdr* const raw = message.raw();
    raw->nlmsg_seq = ++sequence_;
    raw->nlmsg_flags |= NLM_F_ACK;
    ++writes_;
    static metrics::Counter& changes =
        metrics::counter("weft_netlink_changes_total", {}, "Netlink requests that ask the kernel to change something.");
    changes.add();
    if (batch_) {
        const char* const bytes = reinterpret_cast<const char*>(raw);
        batch_->bytes.insert(batch_->bytes.end(), bytes, bytes + raw->nlmsg_len);
        ++batch_->count;
        return {};
    }
    TRY(send(raw, raw->nlmsg_len));
    return wait(sequence_, {});
}

Status Netlink::together(const std::function<Status()>& ask) {
    ENSURE(!batch_);
    batch_ = Batch{{}, sequence_ + 1, 0};
    const Status asked = ask();
    const Batch batch = *std::exchange(batch_, std::nullopt);
    TRY(asked);
    if (batch.count == 0) return {};
    TRY(send(batch.bytes.data(), batch.bytes.size()));
    Status result;
    int error_number = 0;
    for (uint32_t i = 0; i < batch.count; ++i) {
        const Status done = wait(batch.first + i, {});
        if (done || !result) continue;
        error_number = error_number_;
        result = fail(done.error().in("request " + std::to_string(i + 1) + " of " + std::to_string(batch.count)));
    }
    error_number_ = error_number;
    return result;
}

Status Netlink::dump(Message& message, const std::function<void(const nlmsghdr&)>& on_message) {
    ENSURE(!batch_);
    message.raw()->nlmsg_seq = ++sequence_;
    TRY(send(message.raw(), message.raw()->nlmsg_len));
    return wait(sequence_, on_message);
}

void for_each_nested(const void* data, size_t bytes, const std::function<void(uint16_t, const void*, size_t)>& visit) {
    const char* at = static_cast<const char*>(data);
    while (bytes >= sizeof(nlattr)) {
        nlattr attribute;
        std::memcpy(&attribute, at, sizeof(attribute));
        if (attribute.nla_len < sizeof(nlattr) || attribute.nla_len > bytes) return;
        visit(attribute.nla_type & NLA_TYPE_MASK, at + sizeof(nlattr), attribute.nla_len - sizeof(nlattr));
        const size_t step = NLA_ALIGN(attribute.nla_len);
        if (step >= bytes) return;
        at += step;
        bytes -= step;
    }
}

void for_each_attribute(const nlmsghdr& message, size_t header_bytes,
                        const std::function<void(uint16_t, const void*, size_t)>& visit) {
    const size_t before = NLMSG_ALIGN(sizeof(nlmsghdr)) + NLMSG_ALIGN(header_bytes);
    if (message.nlmsg_len <= before) return;
    for_each_nested(reinterpret_cast<const char*>(&message) + before, message.nlmsg_len - before, visit);
}

}  // namespace weft::kernel
