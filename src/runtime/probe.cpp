#include "runtime/probe.h"

#include "base/strings.h"
#include "http/client.h"
#include "http/h1.h"
#include "io/socket.h"
#include "io/tls.h"
#include "kernel/netns.h"
#include "runtime/exec.h"
#include "runtime/grpc_health.h"

namespace weft::runtime {

static Result<uint16_t> port_of(const json::Value& action, const json::Value& container) {
    const json::Value* port = json::find(action, {"port"});
    if (port != nullptr && port->is_string()) {
        const std::string_view name = json::view(port->get_string());
        if (const json::Array* ports = json::find_array(container, {"ports"}))
            for (const json::Value& entry : *ports)
                if (json::find_string(entry, {"name"}) == name)
                    return uint16_t(json::find_int(entry, {"containerPort"}));
        if (const auto number = parse_unsigned(name); number && *number >= 1 && *number <= 65535)
            return uint16_t(*number);
        return fail(Code::invalid, fmt::format("port: the container has no port named \"{}\"", name));
    }
    const int64_t number = json::find_int(action, {"port"});
    if (number < 1 || number > 65535) return fail(Code::invalid, "port: must be 1 to 65535");
    return uint16_t(number);
}

static Status parse_http(const json::Value& action, const json::Value& container, ProbeQuestion& question) {
    question.kind = ProbeQuestion::Kind::http;
    question.host = json::find_string(action, {"host"});
    question.port = TRY_IN("httpGet", port_of(action, container));
    question.path = json::find_string(action, {"path"}, "/");
    if (!question.path.starts_with('/')) question.path.insert(0, "/");
    question.tls = json::find_string(action, {"scheme"}) == "HTTPS";
    if (const json::Array* headers = json::find_array(action, {"httpHeaders"}))
        for (const json::Value& header : *headers)
            question.headers.emplace_back(json::find_string(header, {"name"}), json::find_string(header, {"value"}));
    return {};
}

static Status parse_action(const json::Value& holder, const json::Value& container, ProbeQuestion& question) {
    if (const json::Value* action = json::find(holder, {"httpGet"})) return parse_http(*action, container, question);
    if (const json::Value* action = json::find(holder, {"exec"})) {
        question.kind = ProbeQuestion::Kind::exec;
        question.command = json::find_strings(*action, {"command"});
        if (question.command.empty()) return fail(Code::invalid, "exec: command: Required value");
        return {};
    }
    if (const json::Value* action = json::find(holder, {"tcpSocket"})) {
        question.kind = ProbeQuestion::Kind::tcp;
        question.host = json::find_string(*action, {"host"});
        question.port = TRY_IN("tcpSocket", port_of(*action, container));
        return {};
    }
    if (const json::Value* action = json::find(holder, {"grpc"})) {
        question.kind = ProbeQuestion::Kind::grpc;
        question.port = TRY_IN("grpc", port_of(*action, container));
        question.service = json::find_string(*action, {"service"});
        return {};
    }
    return fail(Code::invalid, "a handler is required: exec, httpGet, tcpSocket or grpc");
}

Result<ProbeQuestion> parse_hook(const json::Value& hook, const json::Value& container) {
    ProbeQuestion question;
    if (json::has(hook, {"sleep"})) {
        question.kind = ProbeQuestion::Kind::sleep;
        question.pause = std::chrono::seconds(std::max<int64_t>(json::find_int(hook, {"sleep", "seconds"}), 0));
        return question;
    }
    TRY(parse_action(hook, container, question));
    question.any_status = true;
    return question;
}

Result<ProbeConfig> parse_probe(const json::Value& probe, const json::Value& container) {
    ProbeConfig config;
    TRY(parse_action(probe, container, config.question));
    const auto seconds = [&](std::string_view field, int64_t otherwise) {
        return std::chrono::seconds(std::max<int64_t>(json::find_int(probe, {field}, otherwise), 0));
    };
    config.question.timeout = std::max(seconds("timeoutSeconds", 1), std::chrono::seconds(1));
    config.initial_delay = seconds("initialDelaySeconds", 0);
    config.period = std::max(seconds("periodSeconds", 10), std::chrono::seconds(1));
    config.success_threshold = unsigned(std::max<int64_t>(json::find_int(probe, {"successThreshold"}, 1), 1));
    config.failure_threshold = unsigned(std::max<int64_t>(json::find_int(probe, {"failureThreshold"}, 3), 1));
    if (json::has(probe, {"terminationGracePeriodSeconds"}))
        config.grace = seconds("terminationGracePeriodSeconds", 30);
    return config;
}

static Status ask_command(const ProbeQuestion& question, const ProbeTarget& target, std::stop_token stop) {
    const std::string text = TRY(read_file(target.plan_path));
    ExecTarget exec{target.self_binary, TRY(protocol::runtime::decode_launch(text)), target.pid, target.pid_started};
    exec.plan.argv = question.command;
    const Ran ran = TRY(run_in_container(exec, question.timeout, stop));
    if (ran.exit_code == 0) return {};
    const std::string_view said = trim(ran.output);
    return fail(Code::unavailable,
                said.empty() ? fmt::format("command ended with exit code {}", ran.exit_code) : std::string(said));
}

Status ask(const ProbeQuestion& question, const ProbeTarget& target, std::stop_token stop) {
    if (question.kind == ProbeQuestion::Kind::sleep) return {};
    if (question.kind == ProbeQuestion::Kind::exec) return ask_command(question, target, stop);
    const net::Address address = TRY(net::Address::parse(question.host.empty() ? target.pod_ip : question.host));
    const kernel::Netns netns = TRY(kernel::Netns::open_path(target.netns_path));
    Fd socket = TRY(netns.run([&] { return io::connect_tcp({address, question.port}, question.timeout); }));
    if (question.kind == ProbeQuestion::Kind::tcp) return {};
    std::unique_ptr<io::Stream> stream;
    if (question.tls) {
        const auto context = TRY(io::TlsContext::client("", false));
        stream = TRY(context->connect(std::move(socket), "", question.timeout));
    } else {
        stream = io::plain_stream(std::move(socket));
    }
    stream->set_timeouts(question.timeout, question.timeout);
    if (question.kind == ProbeQuestion::Kind::grpc)
        return ask_grpc_health(*stream, question.service, io::SocketAddress{address, question.port}.text());
    http::RequestHead head{.method = "GET", .target = question.path};
    head.headers.add("Host", io::SocketAddress{address, question.port}.text());
    head.headers.add("User-Agent", "kube-probe/weft");
    head.headers.add("Accept", "*/*");
    head.headers.add("Connection", "close");
    for (const auto& [name, value] : question.headers) {
        if (!http::is_token(name) || !http::is_field_value(value))
            return fail(Code::invalid, "httpHeaders: \"" + name + "\"");
        head.headers.set(name, value);
    }
    const http::Response response = TRY(http::round_trip(*stream, std::move(head)));
    if (question.any_status) return {};
    if (response.head.status >= 200 && response.head.status < 400) return {};
    return fail(Code::unavailable, fmt::format("HTTP probe failed with statuscode: {}", response.head.status));
}

void ProbeRun::start(MonotonicTime now) {
    due_ = now + config_.initial_delay;
    eager_until_ = *due_ + config_.period;
    eager_wait_ = eager_first;
    asking_ = false;
    successes_ = failures_ = 0;
}

ProbeRun::Verdict ProbeRun::answered(bool success, MonotonicTime now) {
    asking_ = false;
    if (success) eager_ = false;
    if (eager_ && now < eager_until_) {
        due_ = std::min(now + eager_wait_, eager_until_);
        eager_wait_ *= 2;
        return Verdict::early;
    }
    due_ = now + config_.period;
    successes_ = success ? successes_ + 1 : 0;
    failures_ = success ? 0 : failures_ + 1;
    if (successes_ >= config_.success_threshold) return Verdict::passed;
    if (failures_ >= config_.failure_threshold) return Verdict::failed;
    return Verdict::undecided;
}

}  // namespace weft::runtime
