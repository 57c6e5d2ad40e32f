#include "cni/main.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/clock.h"
#include "base/fd.h"
#include "cni/agent_call.h"
#include "cni/config.h"
#include "cni/environment.h"
#include "cni/ipam.h"
#include "cni/result.h"
#include "kernel/link.h"
#include "kernel/netns.h"

namespace weft::cni {
namespace {

namespace wire = protocol::cni;

constexpr size_t stdin_step = 4096;  // a configuration is a few hundred bytes: touching a MiB would cost a third of a millisecond

wire::Request request_of(wire::Command command, const Environment& environment, const Config& config) {
    return {.command = command,
            .container_id = environment.container_id,
            .ifname = environment.ifname,
            .netns = environment.netns,
            .pod_namespace = environment.pod_namespace,
            .pod_name = environment.pod_name,
            .pod_uid = environment.pod_uid,
            .mtu = config.mtu,
            .network = config.name,
            .valid = {},
            .started_ms = 0,
            .address = config.runtime.address,
            .host_ports = config.runtime.host_ports};
}

Outcome<void> check_netns(const Environment& environment) {
    const Result<kernel::Netns> netns = kernel::Netns::open_path(environment.netns);
    if (!netns) {
        const Answer code = netns.error().code == Code::not_found ? Answer::container_unknown : Answer::io_failure;
        return refuse(code, "CNI_NETNS: cannot be opened", netns.error().message);
    }
    if (environment.netns_override) return {};
    const Result<kernel::Netns> own = kernel::Netns::current();
    if (!own) return refuse(Answer::io_failure, "own network namespace", own.error().message);
    const auto theirs = netns->inode();
    const auto ours = own->inode();
    if (theirs && ours && *theirs == *ours)
        return refuse(Answer::own_netns, "CNI_NETNS is the plugin's own network namespace", environment.netns);
    return {};
}

Outcome<std::string> add(const Environment& environment, const Config& config, const Ipam& ipam) {
    TRY(check_netns(environment));
    wire::Request request = request_of(wire::Command::add, environment, config);
    if (ipam.is_used()) request.address = TRY(ipam.add());
    const Outcome<wire::Wired> wired = call_agent(config.agent_socket, request).outcome;
    if (!wired) {
        (void)ipam.call("DEL");  // our failure is what is told
        return std::unexpected(wired.error());
    }
    return result_json(config, *wired, environment.ifname, environment.netns);
}

Outcome<std::string> check(const Environment& environment, const Config& config) {
    TRY(check_netns(environment));
    const wire::Wired wired =
        TRY(call_agent(config.agent_socket, request_of(wire::Command::check, environment, config)).outcome);
    TRY(compare(config.previous, wired));
    return std::string();
}

// The agent is away: nobody may use the interface any more, and the agent must learn of it.
Outcome<std::string> del_alone(const Environment& environment, const Config& config) {
    const std::string folder = wire::tombstone_folder(config.agent_socket);
    const std::string file = folder + "/" + environment.container_id + "@" + environment.ifname;
    const wire::Request request = request_of(wire::Command::del, environment, config);
    if (const Status made = make_directories(folder, 0700); !made)
        return refuse(Answer::io_failure, "leave word for the agent", made.error().message);
    if (const Status written = write_file(file, wire::encode(request)); !written)
        return refuse(Answer::io_failure, "leave word for the agent", written.error().message);
    const Result<kernel::Netns> netns = kernel::Netns::open_path(environment.netns);
    if (!netns) return std::string();  // gone, and the interface with it
    const Status deleted = netns->run([&]() -> Status {
        kernel::Netlink netlink = TRY(kernel::Netlink::open());
        return kernel::delete_link(netlink, environment.ifname);
    });
    if (!deleted) return refuse(Answer::io_failure, "delete the interface", deleted.error().message);
    return std::string();
}

Outcome<std::string> del(const Environment& environment, const Config& config) {
    const Called called = call_agent(config.agent_socket, request_of(wire::Command::del, environment, config));
    if (!called.reached) return del_alone(environment, config);
    if (!called.outcome) return std::unexpected(called.outcome.error());
    return std::string();
}

// CNI-43: a node without its agent can take no pod.
Outcome<std::string> status(const Environment& environment, const Config& config) {
    const Called called = call_agent(config.agent_socket, request_of(wire::Command::status, environment, config));
    if (called.outcome) return std::string();
    const bool is_verdict = called.outcome.error().code == Answer::not_available ||
                            called.outcome.error().code == Answer::limited_connectivity;
    if (is_verdict) return std::unexpected(called.outcome.error());
    return refuse(Answer::not_available, called.outcome.error().message, called.outcome.error().details);
}

Outcome<std::string> gc(const Environment& environment, const Config& config, uint64_t started_ms) {
    wire::Request request = request_of(wire::Command::gc, environment, config);
    request.valid = config.valid_attachments;
    request.started_ms = started_ms;
    TRY(call_agent(config.agent_socket, request).outcome);
    return std::string();
}

Outcome<std::string> run(const std::function<std::string(const char*)>& get, std::string_view input) {
    const auto started = system_clock().now().time_since_epoch();
    const auto started_ms = uint64_t(std::chrono::duration_cast<std::chrono::milliseconds>(started).count());
    const Environment environment = TRY(parse_environment(get));
    if (environment.command == "VERSION") return version_json();
    const Config config = TRY(
        parse_config(input, environment.command, environment.ifname, environment.wished_address));
    const Ipam ipam(config.ipam_type, get, input);
    if (environment.command == "ADD") return add(environment, config, ipam);
    Outcome<std::string> outcome;
    if (environment.command == "CHECK") outcome = check(environment, config);
    else if (environment.command == "STATUS") outcome = status(environment, config);
    else if (environment.command == "GC") outcome = gc(environment, config, started_ms);
    else outcome = del(environment, config);
    if (outcome) TRY(ipam.call(environment.command));
    return outcome;
}

Result<std::string> read_stdin() {
    std::string text(stdin_step, '\0');
    size_t filled = 0;
    while (filled <= config_bytes_max) {  // one more than allowed: parse_config then says so
        if (filled == text.size()) text.resize(std::min(2 * text.size(), config_bytes_max + 1));
        const ssize_t got = ::read(STDIN_FILENO, text.data() + filled, text.size() - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno("read stdin");
        if (got == 0) break;
        filled += size_t(got);
    }
    text.resize(filled);
    return text;
}

void write_stdout(std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        text.remove_prefix(size_t(written));
    }
}

}  // namespace

int call(const std::function<std::string(const char*)>& get, std::string_view input, std::string& output) {
    const Outcome<std::string> outcome = run(get, input);
    output = outcome ? *outcome : error_json(version_for_errors(input), outcome.error());
    if (!output.empty()) output += '\n';
    return outcome ? 0 : 1;
}

int cni_main() {
    const auto get = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value == nullptr ? "" : value);
    };
    std::string input;
    // VERSION works without anything on stdin, even with a terminal there.
    if (get("CNI_COMMAND") != "VERSION") {
        Result<std::string> text = read_stdin();
        if (!text) {
            write_stdout(error_json(version_for_errors(""), {Answer::io_failure, "read stdin", text.error().message}) +
                         "\n");
            return 1;
        }
        input = std::move(*text);
    }
    std::string output;
    const int status = call(get, input, output);
    write_stdout(output);
    return status;
}

}  // namespace weft::cni
