#include "cni/ipam.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.h"
#include "base/json.h"
#include "base/strings.h"
#include "net/address.h"

namespace weft::cni {
namespace {

constexpr size_t output_bytes_max = 1024 * 1024;

struct Pipe {
    Fd reading, writing;
};

Outcome<Pipe> make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return refuse(Answer::io_failure, "pipe to the IPAM plugin", fail_errno("pipe").error().message);
    return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// Both ways at once: neither side may wait for the other with a full pipe.
std::string converse(Fd to, Fd from, std::string_view input) {
    ::fcntl(to.get(), F_SETFL, O_NONBLOCK);
    std::string output;
    char buffer[4096];
    for (;;) {
        pollfd waiting[2] = {{from.get(), POLLIN, 0}, {to ? to.get() : -1, POLLOUT, 0}};
        if (::poll(waiting, 2, -1) < 0 && errno != EINTR) return output;
        if (to && (waiting[1].revents & (POLLOUT | POLLERR | POLLHUP))) {
            const ssize_t written = ::write(to.get(), input.data(), input.size());
            if (written > 0) input.remove_prefix(size_t(written));
            const bool is_over = written < 0 && errno != EAGAIN && errno != EINTR;
            if (input.empty() || is_over) to.reset();
        }
        if (waiting[0].revents == 0) continue;
        const ssize_t got = ::read(from.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 || output.size() + size_t(got) > output_bytes_max) return output;
        output.append(buffer, size_t(got));
    }
}

}  // namespace

Outcome<std::string> Ipam::find() const {
    const std::string path = get_("CNI_PATH");
    if (path.empty()) return refuse(Answer::bad_environment, "required env variables [CNI_PATH] missing");
    for (const std::string_view folder : split(path, ':')) {
        const std::string file = std::string(folder) + "/" + type_;
        if (!folder.empty() && ::access(file.c_str(), X_OK) == 0) return file;
    }
    return refuse(Answer(2), "ipam.type: no plugin \"" + type_ + "\" in CNI_PATH", path);
}

Outcome<std::string> Ipam::run(std::string_view command) const {
    const std::string file = TRY(find());
    std::vector<std::string> environment{"CNI_COMMAND=" + std::string(command), "PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    for (const char* name : {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"})
        environment.push_back(std::string(name) + "=" + get_(name));
    std::vector<char*> variables;
    for (std::string& variable : environment) variables.push_back(variable.data());
    variables.push_back(nullptr);
    Pipe input = TRY(make_pipe()), output = TRY(make_pipe());
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, input.reading.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, output.writing.get(), STDOUT_FILENO);
    char* const arguments[] = {const_cast<char*>(file.c_str()), nullptr};
    pid_t pid = -1;
    const int failed = ::posix_spawn(&pid, file.c_str(), &actions, nullptr, arguments, variables.data());
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) return refuse(Answer::io_failure, "start the IPAM plugin", errno_error(failed, file).message);
    input.reading.reset();
    output.writing.reset();
    std::string said = converse(std::move(input.writing), std::move(output.reading), input_);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return said;
    const Result<json::Value> error = json::parse(said);
    const int64_t code = error ? json::find_int(*error, {"code"}) : 0;
    if (code <= 0) return refuse(Answer::internal, "IPAM plugin " + type_ + " failed without a word", said);
    return refuse(Answer(int(code)), "IPAM plugin " + type_ + ": " + std::string(json::find_string(*error, {"msg"})),
                  std::string(json::find_string(*error, {"details"})));
}

Outcome<std::string> Ipam::add() const {
    const std::string said = TRY(run("ADD"));
    const Result<json::Value> result = json::parse(said);
    const json::Array* const ips = result ? json::find_array(*result, {"ips"}) : nullptr;
    for (size_t i = 0; ips != nullptr && i < ips->size(); ++i) {
        const std::string_view text = json::find_string((*ips)[i], {"address"});
        const auto address = net::Address::parse(text.substr(0, text.find('/')));
        if (address && address->is_v4()) return address->text();
    }
    (void)run("DEL");
    return refuse(Answer::decode_failure, "IPAM plugin " + type_ + ": no IPv4 address in its result", said);
}

Outcome<void> Ipam::call(std::string_view command) const {
    if (!is_used()) return {};
    TRY(run(command));
    return {};
}

}  // namespace weft::cni
