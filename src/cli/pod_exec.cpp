#include "cli/pod_exec.h"

#include <fmt/format.h>
#include <unistd.h>

#include <thread>

#include "base/json.h"
#include "base/strings.h"
#include "http/client.h"
#include "http/url.h"
#include "http/websocket.h"
#include "io/socket.h"
#include "io/tls.h"

namespace weft::cli {

static constexpr std::string_view subprotocol = "v5.channel.k8s.io";
static constexpr char channel_stdin = 0;
static constexpr char channel_stdout = 1;
static constexpr char channel_stderr = 2;
static constexpr char channel_status = 3;
static constexpr char channel_close = char(255);
static constexpr Duration connect_timeout = std::chrono::seconds(10);

struct Connection {
    std::unique_ptr<io::Stream> stream;
    std::string host;
};

static Result<Connection> open_connection(const kube::Endpoint& endpoint) {
    if (!endpoint.unix_socket.empty()) {
        Fd fd = TRY(io::connect_unix(endpoint.unix_socket));
        return Connection{io::plain_stream(std::move(fd)), "localhost"};
    }
    const bool tls = endpoint.url.starts_with("https://");
    const size_t scheme = endpoint.url.find("://");
    std::string host = endpoint.url.substr(scheme == std::string::npos ? 0 : scheme + 3);
    host = host.substr(0, host.find('/'));
    const size_t colon = host.rfind(':');
    const std::string name = host.substr(0, colon);
    const uint64_t port = colon == std::string::npos ? (tls ? 443 : 80) : parse_unsigned(host.substr(colon + 1)).value_or(0);
    const auto address = net::Address::parse(name == "localhost" ? "127.0.0.1" : name);
    if (!address || port == 0 || port > 65535)
        return fail(Code::invalid, "exec needs a server given by address, not \"" + host + "\"");
    Fd fd = TRY(io::connect_tcp({*address, uint16_t(port)}, connect_timeout));
    if (!tls) return Connection{io::plain_stream(std::move(fd)), host};
    const auto context = TRY(io::TlsContext::client(endpoint.ca_pem, !endpoint.insecure_skip_verify, endpoint.client_cert_pem,
                                                    endpoint.client_key_pem));
    return Connection{TRY(context->connect(std::move(fd), name, connect_timeout)), host};
}

static std::string target_of(const PodExec& what) {
    std::string target = fmt::format("/api/v1/namespaces/{}/pods/{}/exec?stdout=true&stderr=true", http::percent_encode(what.ns),
                                     http::percent_encode(what.pod));
    if (what.stdin_fd >= 0) target += "&stdin=true";
    if (!what.container.empty()) target += "&container=" + http::percent_encode(what.container);
    for (const std::string& argument : what.argv) target += "&command=" + http::percent_encode(argument);
    return target;
}

static void send_stdin(http::WebSocket& socket, int fd) {
    char buffer[8192];
    for (;;) {
        const ssize_t n = ::read(fd, buffer, sizeof buffer);
        if (n <= 0) break;
        std::string message(1, channel_stdin);
        message.append(buffer, size_t(n));
        if (!socket.send(http::Opcode::binary, message)) return;
    }
    const char end[] = {channel_close, channel_stdin};
    (void)socket.send(http::Opcode::binary, {end, 2});
}

// The closing Status: Success, or Failure with the exit code as a cause.
static Result<int> exit_code_of(std::string_view text) {
    const json::Value status = TRY(json::parse(text));
    if (json::find_string(status, {"status"}) == "Success") return 0;
    if (const json::Array* causes = json::find_array(status, {"details", "causes"}))
        for (const json::Value& cause : *causes)
            if (json::find_string(cause, {"reason"}) == "ExitCode")
                return int(parse_unsigned(json::find_string(cause, {"message"})).value_or(1));
    return fail(Code::io, std::string(json::find_string(status, {"message"}, "exec failed")));
}

Result<int> pod_exec(const kube::Endpoint& endpoint, const PodExec& what,
                     const std::function<void(bool is_stderr, std::string_view bytes)>& on_output) {
    Connection connection = TRY(open_connection(endpoint));
    http::ClientUpgrade upgrade = http::upgrade_request(connection.host, target_of(what), {subprotocol});
    if (!endpoint.token.empty()) upgrade.head.headers.set("Authorization", "Bearer " + endpoint.token);
    http::Response reply = TRY(http::round_trip(*connection.stream, upgrade.head));
    if (reply.head.status != 101) {
        const auto status = json::parse(reply.body);
        return fail(reply.head.status == 404 ? Code::not_found : Code::invalid,
                    status ? std::string(json::find_string(*status, {"message"}, "exec refused"))
                           : fmt::format("exec refused: HTTP {}", reply.head.status));
    }
    TRY(http::check_upgrade_response(reply.head, upgrade.key));
    connection.stream->set_timeouts(io::no_timeout, connect_timeout);

    http::WebSocket socket(*connection.stream, http::Side::client, std::move(reply.early));
    // Blocked in read(stdin) it cannot be joined: it is left behind, and the process ends soon after.
    if (what.stdin_fd >= 0) std::thread([&socket, fd = what.stdin_fd] { send_stdin(socket, fd); }).detach();
    for (;;) {
        const http::WebSocket::Message message = TRY(socket.receive());
        if (message.opcode == http::Opcode::close) return fail(Code::unavailable, "exec ended without a status");
        if (message.payload.empty()) continue;
        const std::string_view bytes = std::string_view(message.payload).substr(1);
        if (message.payload[0] == channel_stdout) on_output(false, bytes);
        if (message.payload[0] == channel_stderr) on_output(true, bytes);
        if (message.payload[0] == channel_status) {
            const auto code = exit_code_of(bytes);
            socket.close(1000);
            return code;
        }
    }
}

}  // namespace weft::cli
