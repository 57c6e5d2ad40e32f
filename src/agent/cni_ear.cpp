#include "agent/cni_ear.h"

#include <net/if.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/log.h"

namespace weft::agent {
namespace {

using protocol::cni::Answer;
using protocol::cni::Reply;
using protocol::cni::Request;

constexpr int backlog = 128;
constexpr auto sight_period = std::chrono::microseconds(300);

// Bound under a temporary name, then renamed: at every instant the path is the old socket or one that listens.
Result<Fd> listen_on(const std::string& path) {
    const std::string temporary = path + ".new";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (temporary.size() >= sizeof(address.sun_path))
        return fail(Code::invalid, path + ": longer than a socket's path may be");
    std::memcpy(address.sun_path, temporary.data(), temporary.size());
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno("socket");
    ::unlink(temporary.c_str());
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
        return fail_errno("bind " + path);
    // Not listening yet, so nobody could have come in before the mode is right.
    if (::chmod(temporary.c_str(), 0600) != 0) return fail_errno("chmod " + path);
    if (::listen(fd.get(), backlog) != 0) return fail_errno("listen " + path);
    if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno("rename " + path);
    return fd;
}

bool is_allowed(int socket) {
    ucred peer{};
    socklen_t bytes = sizeof(peer);
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
           (peer.uid == 0 || peer.uid == ::geteuid());
}

// The answer on its way from the brain to the call's thread.
struct Mailbox {
    std::mutex mutex;
    std::condition_variable_any arrived;
    std::optional<EndpointService::Answered> answer;
};

struct Removal {
    std::mutex mutex;
    std::condition_variable ended;
    std::optional<Status> result;
};

class Listener final : public CniEar {
public:
    Listener(Fd socket, Fd wake, Ask ask, Disconnect disconnect)
        : socket_(std::move(socket)), wake_(std::move(wake)), ask_(std::move(ask)), disconnect_(std::move(disconnect)) {
        thread_ = std::jthread([this](std::stop_token stop) { accept_calls(stop); });
    }

    ~Listener() override {
        thread_.request_stop();
        const uint64_t one = 1;
        (void)!::write(wake_.get(), &one, sizeof(one));
        thread_.join();
        calls_stop_.request_stop();
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [&] { return calls_ == 0; });
    }

private:
    void accept_calls(std::stop_token stop) {
        while (!stop.stop_requested()) {
            pollfd ready[2] = {{socket_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
            if (::poll(ready, 2, -1) < 0 && errno != EINTR) return;
            if (!(ready[0].revents & POLLIN)) continue;
            Fd call(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (call) start(std::move(call));
        }
    }

    void start(Fd call) {
        {
            const std::lock_guard lock(mutex_);
            if (calls_ >= calls_max) {
                (void)protocol::cni::send_all(call.get(),
                                              encode(Reply::error(Answer::try_again, "too many CNI calls at once")));
                return;
            }
            ++calls_;
        }
        // Detached, but counted: the destructor waits for the last one.
        std::thread([this, call = std::move(call)]() mutable {
            serve(call.get());
            call.reset();
            const std::lock_guard lock(mutex_);
            --calls_;
            ended_.notify_all();
        }).detach();
    }

    void serve(int socket) {
        if (!is_allowed(socket)) return;
        const timeval patience{.tv_sec = request_timeout_s, .tv_usec = 0};
        ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        const auto text = protocol::cni::receive_all(socket);
        if (!text) return;
        const auto request = protocol::cni::decode_request(*text);
        const std::optional<Reply> reply =
            request ? answer(*request) : Reply::error(Answer::decode_failure, "request", request.error().message);
        if (reply) (void)protocol::cni::send_all(socket, encode(*reply));
    }

    // Nothing when we are stopping: the caller then sees the connection end.
    std::optional<Reply> answer(const Request& request) {
        const auto mailbox = std::make_shared<Mailbox>();
        ask_(request, [mailbox](EndpointService::Answered answered) {
            const std::lock_guard lock(mailbox->mutex);
            mailbox->answer = std::move(answered);
            mailbox->arrived.notify_all();
        });
        std::unique_lock lock(mailbox->mutex);
        if (!mailbox->arrived.wait(lock, calls_stop_.get_token(), [&] { return mailbox->answer.has_value(); }))
            return std::nullopt;
        const EndpointService::Answered answered = *mailbox->answer;
        lock.unlock();
        if (answered.links_to_delete.empty()) return answered.reply;
        const Status gone = take_away(answered.links_to_delete);
        return gone ? answered.reply : Reply::error(Answer::io_failure, "delete the interface", gone.error().message);
    }

    // Links are out of sight, inside and outside, within a millisecond; the kernel's call returns only when the last reader
    // of the old tables is through, some 15 ms later. Nobody has to wait for that: a thread of its own does.
    Status take_away(const std::vector<std::string>& links) {
        const auto removal = std::make_shared<Removal>();
        {
            const std::lock_guard lock(mutex_);
            ++calls_;
        }
        std::thread([this, links, removal] {
            Status result;
            for (const std::string& link : links) {  // a GC goes on with the others
                if (Status gone = disconnect_(link); !gone) result = std::move(gone);
            }
            {
                const std::lock_guard lock(removal->mutex);
                removal->result = std::move(result);
                removal->ended.notify_all();
            }
            const std::lock_guard lock(mutex_);
            --calls_;
            ended_.notify_all();
        }).detach();
        std::unique_lock lock(removal->mutex);
        const auto is_over = [&] { return removal->result.has_value(); };
        while (!removal->ended.wait_for(lock, sight_period, is_over)) {
            const bool in_sight = std::any_of(links.begin(), links.end(),
                                              [](const std::string& link) { return ::if_nametoindex(link.c_str()) != 0; });
            if (!in_sight) return {};
        }
        return *removal->result;
    }

    Fd socket_, wake_;
    const Ask ask_;
    const Disconnect disconnect_;
    std::mutex mutex_;
    std::condition_variable ended_;
    unsigned calls_ = 0;
    std::stop_source calls_stop_;
    std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<CniEar>> CniEar::listen(const std::string& path, Ask ask, Disconnect disconnect) {
    Fd socket = TRY(listen_on(path));
    Fd wake(::eventfd(0, EFD_CLOEXEC));
    if (!wake) return fail_errno("eventfd");
    return std::unique_ptr<CniEar>(
        new Listener(std::move(socket), std::move(wake), std::move(ask), std::move(disconnect)));
}

}  // namespace weft::agent
