#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>

#include "base/log.h"
#include "io/socket.h"
#include "runtime/shim.h"
#include "runtime/spawn.h"

namespace weft::runtime {

using protocol::runtime::Order;
using protocol::runtime::Report;

static constexpr Duration shim_start_timeout = std::chrono::seconds(10);

Status start_shim(const std::string& self_binary, const std::string& folder, const std::string& netns) {
    const Finished finished =
        TRY(run_program({self_binary, "shim", "--dir", folder, "--netns", netns}, {}, "", shim_start_timeout));
    if (finished.exit_code == 0) return {};
    return fail(Code::io, fmt::format("weft shim ended with {}: {}", finished.exit_code, finished.err));
}

void quit_shim(const std::string& folder) {
    const Result<Fd> socket = io::connect_unix(shim_socket(folder));
    if (!socket) return;
    const std::string order = encode(Order{});
    if (::send(socket->get(), order.data(), order.size(), MSG_NOSIGNAL) < 0) return;
    // Its end closes the connection: until then its socket stands in the way of a new one.
    char rest[4096];
    const timeval patience{5, 0};
    (void)::setsockopt(socket->get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (::recv(socket->get(), rest, sizeof rest, 0) > 0) {}
}

Result<std::unique_ptr<ShimLink>> ShimLink::connect(const std::string& folder, Listener listener) {
    Fd socket = TRY_IN("shim", io::connect_unix(shim_socket(folder)));
    return std::unique_ptr<ShimLink>(new ShimLink(std::move(socket), std::move(listener)));
}

ShimLink::ShimLink(Fd socket, Listener listener) : socket_(std::move(socket)), listener_(std::move(listener)) {
    thread_ = std::jthread([this](std::stop_token stop) { listen(stop); });
}

ShimLink::~ShimLink() {
    thread_.request_stop();
    ::shutdown(socket_.get(), SHUT_RDWR);
}

Status ShimLink::send(const Order& order) {
    std::string text = encode(order);
    std::string_view rest = text;
    while (!rest.empty()) {
        const ssize_t n = ::send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno("shim");
        rest.remove_prefix(size_t(n));
    }
    return {};
}

void ShimLink::listen(std::stop_token stop) {
    std::string input;
    char buffer[65536];
    while (!stop.stop_requested()) {
        const ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0 || input.size() > protocol::runtime::line_bytes_max) break;
        input.append(buffer, size_t(n));
        size_t end = 0;
        while ((end = input.find('\n')) != std::string::npos) {
            const std::string line = input.substr(0, end);
            input.erase(0, end + 1);
            if (line.empty()) {
                listener_.caught_up();
                continue;
            }
            if (Result<Report> report = protocol::runtime::decode_report(line))
                listener_.report(std::move(*report));
            else
                log::warning("shim report refused", {{"error", report.error().message}});
        }
    }
    if (!stop.stop_requested()) listener_.lost();
}

}  // namespace weft::runtime
