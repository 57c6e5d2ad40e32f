#include "protocol/cni.h"

#include <sys/socket.h>

#include <cerrno>

#include "base/json.h"

namespace weft::protocol::cni {
namespace {

constexpr size_t read_step = 4096;

Result<std::string> text_field(const json::Value& object, std::string_view name) {
    const json::Value* value = json::find(object, {name});
    if (value == nullptr) return std::string();
    if (!value->is_string()) return fail(Code::invalid, std::string(name) + ": must be a string");
    return std::string(json::view(value->get_string()));
}

Result<int64_t> number_field(const json::Value& object, std::string_view name) {
    const json::Value* value = json::find(object, {name});
    if (value == nullptr) return int64_t(0);
    if (value->is_int64() && value->get_int64() >= 0 && value->get_int64() <= 0xffff) return value->get_int64();
    return fail(Code::invalid, std::string(name) + ": must be a number from 0 to 65535");
}

Result<json::Value> parse_object(std::string_view text) {
    json::Value value = TRY(json::parse(text));
    if (!value.is_object()) return fail(Code::invalid, "must be a JSON object");
    return value;
}

}  // namespace

std::string_view command_name(Command command) {
    switch (command) {
        case Command::add: return "ADD";
        case Command::del: return "DEL";
        case Command::check: return "CHECK";
        case Command::status: return "STATUS";
        case Command::gc: return "GC";
    }
    return "?";
}

std::string encode(const Request& request) {
    json::Object object{{"command", command_name(request.command)},
                        {"containerID", request.container_id},
                        {"ifname", request.ifname},
                        {"netns", request.netns},
                        {"podNamespace", request.pod_namespace},
                        {"podName", request.pod_name},
                        {"podUID", request.pod_uid},
                        {"mtu", int64_t(request.mtu)},
                        {"network", request.network}};
    if (!request.address.empty()) object["address"] = request.address;
    if (!request.host_ports.empty()) {
        json::Array ports;
        for (const HostPort& port : request.host_ports)
            ports.push_back(json::Object{{"number", int64_t(port.number)},
                                         {"target", int64_t(port.target)},
                                         {"protocol", net::protocol_name(port.protocol)},
                                         {"address", port.address}});
        object["hostPorts"] = std::move(ports);
    }
    if (request.command == Command::gc) {
        json::Array valid;
        for (const Attachment& attachment : request.valid)
            valid.push_back(json::Object{{"containerID", attachment.container_id}, {"ifname", attachment.ifname}});
        object["valid"] = std::move(valid);
        object["startedMs"] = int64_t(request.started_ms);
    }
    return json::serialize(object);
}

Result<Request> decode_request(std::string_view text) {
    const json::Value object = TRY(parse_object(text));
    Request request;
    const std::string command = TRY(text_field(object, "command"));
    if (command == "ADD") request.command = Command::add;
    else if (command == "DEL") request.command = Command::del;
    else if (command == "CHECK") request.command = Command::check;
    else if (command == "STATUS") request.command = Command::status;
    else if (command == "GC") request.command = Command::gc;
    else return fail(Code::invalid, "command: must be ADD, DEL, CHECK, STATUS or GC");
    request.container_id = TRY(text_field(object, "containerID"));
    request.ifname = TRY(text_field(object, "ifname"));
    request.netns = TRY(text_field(object, "netns"));
    request.pod_namespace = TRY(text_field(object, "podNamespace"));
    request.pod_name = TRY(text_field(object, "podName"));
    request.pod_uid = TRY(text_field(object, "podUID"));
    request.mtu = unsigned(TRY(number_field(object, "mtu")));
    request.network = TRY(text_field(object, "network"));
    request.address = TRY(text_field(object, "address"));
    if (const json::Array* const ports = json::find_array(object, {"hostPorts"}))
        for (const json::Value& port : *ports)
            request.host_ports.push_back({uint16_t(TRY(number_field(port, "number"))),
                                          uint16_t(TRY(number_field(port, "target"))),
                                          TRY(net::parse_protocol(TRY(text_field(port, "protocol")))),
                                          TRY(text_field(port, "address"))});
    if (request.command == Command::gc) {
        const json::Array* const valid = json::find_array(object, {"valid"});
        if (valid == nullptr) return fail(Code::invalid, "valid: must be a list");
        for (const json::Value& entry : *valid)
            request.valid.push_back({TRY(text_field(entry, "containerID")), TRY(text_field(entry, "ifname"))});
        request.started_ms = uint64_t(std::max<int64_t>(0, json::find_int(object, {"startedMs"})));
        return request;
    }
    if (request.command == Command::status) return request;
    if (request.container_id.empty()) return fail(Code::invalid, "containerID: must not be empty");
    if (request.ifname.empty()) return fail(Code::invalid, "ifname: must not be empty");
    return request;
}

std::string encode(const Reply& reply) {
    json::Object object{{"code", int(reply.answer)}, {"message", reply.message}, {"details", reply.details}};
    const Wired& wired = reply.wired;
    object["wired"] =
        json::Object{{"hostLink", wired.host_link}, {"hostMAC", wired.host_mac}, {"mac", wired.mac},
                     {"mtu", int64_t(wired.mtu)},   {"address", wired.address},  {"gateway", wired.gateway},
                     {"ipv6", wired.ipv6},          {"ipv6Gateway", wired.ipv6_gateway}};
    return json::serialize(object);
}

Result<Reply> decode_reply(std::string_view text) {
    const json::Value object = TRY(parse_object(text));
    Reply reply;
    reply.answer = Answer(TRY(number_field(object, "code")));
    reply.message = TRY(text_field(object, "message"));
    reply.details = TRY(text_field(object, "details"));
    if (const json::Value* wired = json::find(object, {"wired"}); wired != nullptr && wired->is_object()) {
        reply.wired.host_link = TRY(text_field(*wired, "hostLink"));
        reply.wired.host_mac = TRY(text_field(*wired, "hostMAC"));
        reply.wired.mac = TRY(text_field(*wired, "mac"));
        reply.wired.mtu = unsigned(TRY(number_field(*wired, "mtu")));
        reply.wired.address = TRY(text_field(*wired, "address"));
        reply.wired.gateway = TRY(text_field(*wired, "gateway"));
        reply.wired.ipv6 = TRY(text_field(*wired, "ipv6"));
        reply.wired.ipv6_gateway = TRY(text_field(*wired, "ipv6Gateway"));
    }
    return reply;
}

std::string tombstone_folder(std::string_view agent_socket) {
    return std::string(agent_socket.substr(0, agent_socket.rfind('/'))) + "/cni-deleted";
}

Status send_all(int socket, std::string_view text) {
    while (!text.empty()) {
        const ssize_t sent = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return fail_errno("send");
        text.remove_prefix(size_t(sent));
    }
    if (::shutdown(socket, SHUT_WR) != 0) return fail_errno("shutdown");
    return {};
}

Result<std::string> receive_all(int socket) {
    std::string text;
    for (;;) {
        const size_t before = text.size();
        if (before > message_bytes_max) return fail(Code::exhausted, "message longer than 1 MiB");
        text.resize(before + read_step);
        const ssize_t received = ::recv(socket, text.data() + before, read_step, 0);
        if (received < 0 && errno != EINTR) {
            if (errno == EAGAIN) return fail(Code::timeout, "receive: no end of message in time");
            return fail_errno("receive");
        }
        text.resize(before + size_t(received > 0 ? received : 0));
        if (received == 0) return text;
    }
}

}  // namespace weft::protocol::cni
