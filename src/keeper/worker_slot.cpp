#include "keeper/worker_slot.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "worker/sockets.h"

namespace weft::keeper {

namespace wire = protocol::keeper;

namespace {

std::string_view state_name(WorkerSlot::State state) {
    constexpr std::string_view names[] = {"down", "starting", "adopting", "serving", "cut_off"};
    return names[size_t(state)];
}

// Never waits: a server with a full backlog is `unavailable`.
Result<Fd> connect_api(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return fail(Code::invalid, "socket path too long: " + path);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno("socket for " + path);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno == ENOENT) return fail(Code::unavailable, "API server: nobody at " + path);
        return fail_errno("connect " + path);
    }
    fcntl(fd.get(), F_SETFL, 0);  // blocking from here on, as its user expects
    return fd;
}

}  // namespace

WorkerSlot::WorkerSlot(std::string name, const Options& options, const Namespaces& namespaces, Listeners& listeners)
    : name_(std::move(name)),
      options_(options),
      namespaces_(namespaces),
      listeners_(listeners),
      starts_(metrics::counter("weft_keeper_worker_starts_total", {{"worker", name_}}, "workers started")),
      adoptions_(
          metrics::counter("weft_keeper_worker_adoptions_total", {{"worker", name_}}, "living workers adopted")) {}

std::string WorkerSlot::adopt_path() const {
    return options_.instance.node_run_dir(options_.node) + "/" + name_ + ".adopt";
}

MonotonicTime WorkerSlot::next_due() const {
    return state_ == State::down || state_ == State::cut_off ? retry_at_ : MonotonicTime::max();
}

void WorkerSlot::enter(State next) {
    log::info("worker state",
              {{"worker", name_}, {"from", state_name(state_)}, {"to", state_name(next)}, {"pid", pid_}});
    state_ = next;
    if (next == State::down) {
        if (system_clock().now() - started_ >= steady_after) backoff_ = backoff_first;
        retry_at_ = system_clock().now() + backoff_;
        backoff_ = std::min(2 * backoff_, backoff_max);
        channel_.reset();
        pidfd_.reset();
        pid_ = -1;
    } else if (next == State::cut_off) {
        channel_.reset();
        retry_at_ = system_clock().now() + backoff_first;
    }
}

void WorkerSlot::on_time(MonotonicTime now) {
    if (now >= next_due()) knock_or_spawn();
}

void WorkerSlot::knock_or_spawn() {
    Result<Fd> living = connect_adopt(adopt_path());
    if (living) {
        channel_ = std::move(*living);
        if (state_ == State::down) started_ = system_clock().now();
        adoptions_.add();
        enter(State::adopting);
        if (const Status hello = say_hello(); !hello) on_hangup(hello.error());
        return;
    }
    if (state_ == State::cut_off) {  // it lives but does not listen (yet)
        retry_at_ = system_clock().now() + backoff_max;
        return;
    }
    // The API server writes the tokens when it starts for the first time, which may be after us.
    Result<std::string> token = read_file(options_.instance.token_file(name_));
    if (!token) {
        if (!said_no_token_)
            log::info("waiting for the API token", {{"worker", name_}, {"error", token.error().message}});
        said_no_token_ = true;
        retry_at_ = system_clock().now() + backoff_first;
        return;
    }
    said_no_token_ = false;
    started_ = system_clock().now();
    Result<Spawned> spawned = fail(living.error());
    if (living.error().code == Code::not_found) spawned = spawn(command(std::move(*token)));
    if (!spawned) {
        log::error("cannot start worker", {{"worker", name_}, {"error", spawned.error().message}});
        enter(State::down);
        return;
    }
    starts_.add();
    pid_ = spawned->pid;
    pidfd_ = std::move(spawned->pidfd);
    channel_ = std::move(spawned->channel);
    enter(State::starting);
    if (const Status hello = say_hello(); !hello) on_hangup(hello.error());
}

Command WorkerSlot::command(std::string token) const {
    Command command;
    command.arguments = {options_.self_binary, name_, "--instance", options_.instance.name(), "--node", options_.node};
    if (name_ == "dns") {
        const std::vector<std::string> dns = options_.dns.arguments();
        command.arguments.insert(command.arguments.end(), dns.begin(), dns.end());
    }
    command.cgroup_procs = cgroup_procs_file(options_.instance.system_cgroup(options_.node));
    command.adopt_path = adopt_path();
    command.token = std::move(token);
    return command;
}

Status WorkerSlot::say_hello() {
    wire::Message hello;
    hello.kind = wire::Kind::hello;
    hello.set_text(options_.node);
    return wire::send(channel_.get(), hello);
}

void WorkerSlot::on_readable() {
    Result<wire::Received> received = wire::receive(channel_.get(), Duration::zero());
    if (received) {
        on_message(std::move(*received));
    } else if (received.error().code != Code::timeout) {
        on_hangup(received.error());
    }
}

void WorkerSlot::on_message(wire::Received received) {
    const wire::Message& message = received.message;
    if (state_ == State::starting && message.kind == wire::Kind::hello) return hand_over();
    if (state_ == State::adopting) {
        if (message.kind == wire::Kind::hello) {
            pid_ = received.sender_pid;
            Result<Fd> pidfd = open_pidfd(pid_);
            if (pidfd) pidfd_ = std::move(*pidfd);
        } else if (message.kind == wire::Kind::holding) {
            listeners_.adopt(name_, wire::key_of(message), std::move(received.descriptors));
        } else if (message.kind == wire::Kind::holding_end) {
            enter(State::serving);
        }
        return;
    }
    if (state_ != State::serving) return;
    wire::Message reply;
    Result<std::vector<Fd>> sockets = answer(message, reply);
    if (!sockets) {
        reply = wire::failure(sockets.error());
        sockets = std::vector<Fd>{};
    }
    reply.kind = wire::Kind::reply;
    reply.sequence = message.sequence;
    if (const Status sent = wire::send(channel_.get(), reply, *sockets); !sent) on_hangup(sent.error());
}

void WorkerSlot::hand_over() {
    Status sent;
    for (const auto& [key, kept] : listeners_.of(name_)) {
        wire::Message holding = wire::about(wire::Kind::holding, key);
        holding.netns_cookie = kept.netns_cookie;
        if (sent) sent = wire::send(channel_.get(), holding, kept.sockets);
    }
    wire::Message end;
    end.kind = wire::Kind::holding_end;
    if (sent) sent = wire::send(channel_.get(), end);
    if (!sent) return on_hangup(sent.error());
    enter(State::serving);
}

Result<std::vector<Fd>> WorkerSlot::answer(const wire::Message& request, wire::Message& reply) {
    std::vector<Fd> sockets;
    switch (request.kind) {
        case wire::Kind::listen: {
            const Listeners::Kept* kept = TRY(listeners_.listen(name_, wire::key_of(request), request.count));
            reply.netns_cookie = kept->netns_cookie;
            for (const Fd& socket : kept->sockets) sockets.push_back(TRY(socket.duplicate()));
            return sockets;
        }
        case wire::Kind::unlisten:
            listeners_.unlisten(name_, wire::key_of(request));
            return sockets;
        case wire::Kind::upstream: {
            const unsigned n = std::min<unsigned>(request.count, wire::descriptors_max);
            const auto protocol = net::Protocol(request.protocol);
            Made made = TRY(namespaces_.make_in(request.vni, n, [&] { return worker::make_upstream(protocol); }));
            reply.netns_cookie = made.netns_cookie;
            return std::move(made.sockets);
        }
        case wire::Kind::api:
            sockets.push_back(TRY(connect_api(options_.instance.api_socket())));
            return sockets;
        default:
            return fail(Code::invalid, "keeper: unknown request");
    }
}

void WorkerSlot::on_hangup(const Error& why) {
    log::warning("worker channel closed", {{"worker", name_}, {"error", why.message}});
    // Only the process' end is proof that a new one may start; without a pidfd the knock at the adopt socket decides.
    enter(pidfd_ ? State::cut_off : State::down);
}

void WorkerSlot::on_exit() {
    int status = 0;
    const bool ours = waitpid(pid_, &status, WNOHANG) == pid_;
    log::warning("worker ended",
                 {{"worker", name_}, {"pid", pid_}, {"status", ours ? std::to_string(status) : "unknown"}});
    enter(State::down);
}

}  // namespace weft::keeper
