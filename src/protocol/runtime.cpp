#include "protocol/runtime.h"

#include "base/json.h"

namespace weft::protocol::runtime {

namespace {

json::Array array_of(const std::vector<std::string>& strings) {
    json::Array array;
    for (const std::string& text : strings) array.emplace_back(text);
    return array;
}

json::Object object_of(const Launch& launch) {
    json::Array mounts;
    for (const BindMount& mount : launch.mounts)
        mounts.push_back(json::Object{
            {"source", mount.source}, {"target", mount.target}, {"inner", mount.inner}, {"readOnly", mount.read_only}});
    json::Array groups;
    for (const int64_t group : launch.groups) groups.emplace_back(group);
    return {{"container", launch.container},
            {"attempt", launch.attempt},
            {"argv", array_of(launch.argv)},
            {"environment", array_of(launch.environment)},
            {"workingDir", launch.working_dir},
            {"root", launch.root},
            {"hostname", launch.hostname},
            {"cgroup", launch.cgroup},
            {"logFile", launch.log_file},
            {"mounts", std::move(mounts)},
            {"uid", launch.uid},
            {"gid", launch.gid},
            {"groups", std::move(groups)}};
}

std::string text_at(const json::Value& value, std::string_view field) {
    return std::string(json::find_string(value, {field}));
}

Result<Launch> launch_of(const json::Value& value) {
    Launch launch;
    launch.container = text_at(value, "container");
    launch.attempt = unsigned(json::find_int(value, {"attempt"}));
    launch.argv = json::find_strings(value, {"argv"});
    launch.environment = json::find_strings(value, {"environment"});
    launch.working_dir = text_at(value, "workingDir");
    launch.root = text_at(value, "root");
    launch.hostname = text_at(value, "hostname");
    launch.cgroup = text_at(value, "cgroup");
    launch.log_file = text_at(value, "logFile");
    launch.uid = json::find_int(value, {"uid"}, -1);
    launch.gid = json::find_int(value, {"gid"}, -1);
    if (launch.container.empty()) return fail(Code::invalid, "launch: container: Required value");
    if (launch.argv.empty()) return fail(Code::invalid, "launch: argv: Required value");
    if (const json::Array* mounts = json::find_array(value, {"mounts"}))
        for (const json::Value& mount : *mounts)
            launch.mounts.push_back({text_at(mount, "source"), text_at(mount, "target"), text_at(mount, "inner"),
                                     json::find_bool(mount, {"readOnly"})});
    if (const json::Array* groups = json::find_array(value, {"groups"}))
        for (const json::Value& group : *groups)
            if (group.is_int64()) launch.groups.push_back(group.get_int64());
    return launch;
}

Result<json::Value> parse_line(std::string_view line) {
    if (line.size() > line_bytes_max) return fail(Code::invalid, "runtime message: longer than 1 MiB");
    json::Value value = TRY_IN("runtime message", json::parse(line));
    if (!value.is_object()) return fail(Code::invalid, "runtime message: not an object");
    return value;
}

}  // namespace

std::string encode(const Launch& launch) { return json::serialize(object_of(launch)) + "\n"; }

std::string encode(const Order& order) {
    json::Object object;
    switch (order.kind) {
        case Order::Kind::start: object = {{"order", "start"}, {"launch", object_of(order.launch)}}; break;
        case Order::Kind::signal:
            object = {{"order", "signal"}, {"container", order.container}, {"signal", order.signal}};
            break;
        case Order::Kind::quit: object = {{"order", "quit"}}; break;
    }
    return json::serialize(object) + "\n";
}

std::string encode(const Report& report) {
    const json::Object object{{"container", report.container},   {"attempt", report.attempt},
                              {"running", report.running},       {"pid", report.pid},
                              {"pidStarted", report.pid_started}, {"exitCode", report.exit_code},
                              {"signal", report.signal},         {"error", report.error},
                              {"startedAt", report.started_at},  {"finishedAt", report.finished_at}};
    return json::serialize(object) + "\n";
}

Result<Launch> decode_launch(std::string_view line) { return launch_of(TRY(parse_line(line))); }

Result<Order> decode_order(std::string_view line) {
    const json::Value value = TRY(parse_line(line));
    const std::string_view kind = json::find_string(value, {"order"});
    Order order;
    if (kind == "quit") return order;
    if (kind == "signal") {
        order.kind = Order::Kind::signal;
        order.container = text_at(value, "container");
        order.signal = int(json::find_int(value, {"signal"}));
        if (order.signal < 1 || order.signal > 64) return fail(Code::invalid, "order: signal: must be 1 to 64");
        return order;
    }
    const json::Value* launch = json::find(value, {"launch"});
    if (kind != "start" || launch == nullptr)
        return fail(Code::invalid, "order: \"" + std::string(kind) + "\" is not one of start, signal, quit");
    order.kind = Order::Kind::start;
    order.launch = TRY(launch_of(*launch));
    return order;
}

Result<Report> decode_report(std::string_view line) {
    const json::Value value = TRY(parse_line(line));
    Report report;
    report.container = text_at(value, "container");
    if (report.container.empty()) return fail(Code::invalid, "report: container: Required value");
    report.attempt = unsigned(json::find_int(value, {"attempt"}));
    report.running = json::find_bool(value, {"running"});
    report.pid = int(json::find_int(value, {"pid"}));
    report.pid_started = uint64_t(json::find_int(value, {"pidStarted"}));
    report.exit_code = int(json::find_int(value, {"exitCode"}));
    report.signal = int(json::find_int(value, {"signal"}));
    report.error = text_at(value, "error");
    report.started_at = text_at(value, "startedAt");
    report.finished_at = text_at(value, "finishedAt");
    return report;
}

}  // namespace weft::protocol::runtime
