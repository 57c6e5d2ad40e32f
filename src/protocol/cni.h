// CNI protocol: what `weft-cni` asks the agent of its node, one request and one reply per connection.
//
// Each side writes one JSON object and shuts its writing end down; the reader takes it whole at end of file. Codes are
// those of the CNI standard and spec/kubernetes.md §9.5; 0 is success. An ADD answers with what was wired, and so does
// a CHECK. Limits: message_bytes_max. Errors of decode_*: Code::invalid naming the field. Threads: values. Source:
// design.md "A CNI ADD"; spec/kubernetes.md §9.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "net/address.h"

namespace weft::protocol::cni {

inline constexpr size_t message_bytes_max = 1024 * 1024;  // a GC lists every attachment of the node
inline constexpr int connect_timeout_s = 2;
inline constexpr int reply_timeout_s = 30;

// The codes of the CNI standard, and ours from 100.
enum class Answer : int {
    ok = 0,
    incompatible_version = 1,
    container_unknown = 3,
    bad_environment = 4,
    io_failure = 5,
    decode_failure = 6,
    invalid_config = 7,
    own_netns = 8,
    try_again = 11,
    not_available = 50,
    limited_connectivity = 51,
    interface_exists = 110,
    address_exhausted = 111,
    vswitch_not_found = 112,
    host_port_taken = 120,
    check_difference = 130,
    internal = 999,
};

enum class Command : uint8_t { add, del, check, status, gc };
std::string_view command_name(Command command);  // "ADD"

struct Attachment {
    std::string container_id;
    std::string ifname;
    auto operator<=>(const Attachment&) const = default;
};

// A port of the node that leads to the container, as the runtime says it.
struct HostPort {
    uint16_t number = 0;
    uint16_t target = 0;
    net::Protocol protocol = net::Protocol::tcp;
    std::string address;  // "" = all of the node's
    bool operator==(const HostPort&) const = default;
};

struct Request {
    Command command = Command::add;
    std::string container_id;
    std::string ifname;
    std::string netns;  // path; may be empty for DEL
    std::string pod_namespace;
    std::string pod_name;
    std::string pod_uid;  // may be empty: then the name is trusted
    unsigned mtu = 0;     // 0 = the node's
    std::string network;  // the configuration's name: a GC of one network leaves the others alone
    // Of GC: what is still in use, and when the call began (monotonic milliseconds): younger attachments are not touched.
    std::vector<Attachment> valid;
    uint64_t started_ms = 0;
    // Of ADD: an address that the pod shall have ("" = any), and ports of the node that it must have by its Pod.
    std::string address{};
    std::vector<HostPort> host_ports{};
    bool operator==(const Request&) const = default;
};

// The pair as it stands: enough for the result of ADD and the comparison of CHECK.
struct Wired {
    std::string host_link;
    std::string host_mac;
    std::string mac;
    unsigned mtu = 0;
    std::string address;  // "10.0.1.4", always a /32
    std::string gateway;  // "169.254.1.1"
    std::string ipv6;     // "fd00::104", always a /128; "" = none, and no gateway then
    std::string ipv6_gateway;
    bool operator==(const Wired&) const = default;
};

struct Reply {
    Answer answer = Answer::ok;
    std::string message;
    std::string details;
    Wired wired;
    bool operator==(const Reply&) const = default;

    static Reply error(Answer answer, std::string message, std::string details = {}) {
        return {answer, std::move(message), std::move(details), {}};
    }
};

std::string encode(const Request& request);
std::string encode(const Reply& reply);
Result<Request> decode_request(std::string_view text);
Result<Reply> decode_reply(std::string_view text);

// Where a DEL that finds no agent leaves word for the next one: a folder of request files beside the agent's socket.
std::string tombstone_folder(std::string_view agent_socket);

// A blocking stream with its own time-outs: send everything and shut down; read to the end of file.
Status send_all(int socket, std::string_view text);
Result<std::string> receive_all(int socket);

}  // namespace weft::protocol::cni
