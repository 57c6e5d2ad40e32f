// Runtime protocol: what `weft runtime` and a pod's `weft shim` say to each other over the shim's unix socket.
//
// One JSON object a line, both ways. The shim opens with a report of every container it has started, then reports each
// change; orders are not answered but by such a report. An order may be repeated: starting an attempt that was started
// already, or signalling one that has ended, changes nothing. So a runtime that was killed only connects and reads.
// Limits: line_bytes_max. Errors of decode_*: Code::invalid naming the field. Threads: values.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weft::protocol::runtime {

inline constexpr size_t line_bytes_max = 1024 * 1024;

struct BindMount {
    std::string source, target;  // target: as the program sees it
    std::string inner;           // a path within source that stands there instead; made (a folder) when it is missing
    bool read_only = false;
    bool operator==(const BindMount&) const = default;
};

// All that a process of a pod needs to know before it runs.
struct Launch {
    std::string container;
    unsigned attempt = 0;
    std::vector<std::string> argv;
    std::vector<std::string> environment;  // NAME=value
    std::string working_dir;               // "" = the image's or /
    std::string root;                      // the program's root folder; "" = the host's
    std::string hostname;
    std::string cgroup;                    // absolute path of the container's folder
    std::string log_file;
    std::vector<BindMount> mounts;
    int64_t uid = -1, gid = -1;            // -1 = stay root
    std::vector<int64_t> groups;           // supplementary
    bool operator==(const Launch&) const = default;
};

struct Order {
    enum class Kind : uint8_t { start, signal, quit };
    Kind kind = Kind::quit;
    Launch launch;          // start
    std::string container;  // signal
    int signal = 0;         // signal
};

struct Report {
    std::string container;
    unsigned attempt = 0;
    bool running = false;
    int pid = 0;                 // running
    uint64_t pid_started = 0;    // field 22 of /proc/PID/stat: tells this process from a later one of the same number
    int exit_code = 0;           // ended: 128 + signal when a signal ended it
    int signal = 0;
    std::string error;           // why the program could not be started
    std::string started_at, finished_at;  // RFC 3339
    bool operator==(const Report&) const = default;
};

std::string encode(const Order& order);    // with its newline
std::string encode(const Report& report);
std::string encode(const Launch& launch);
Result<Order> decode_order(std::string_view line);
Result<Report> decode_report(std::string_view line);
Result<Launch> decode_launch(std::string_view line);

}  // namespace weft::protocol::runtime
