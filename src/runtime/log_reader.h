// LogReader: what `kubectl logs` asks of a container's log file (log_writer.h), as options and as a stream of bytes.
// Errors of parse: invalid, naming the parameter. Threads: values; read_log blocks when it follows.
// Source: spec/kubernetes.md API-142.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/url.h"

namespace weft::runtime {

struct LogOptions {
    bool follow = false, timestamps = false, previous = false;
    std::optional<uint64_t> tail_lines, limit_bytes;
    std::optional<WallTime> since;
};

Result<LogOptions> parse_log_options(const http::Query& query, const Clock& clock = system_clock());

// Writes what the options select. `more()` says, when the end of the file is reached, whether the container still
// writes; it waits a moment if nothing has come. write returns false when the reader has gone.
Status read_log(const std::string& path, const LogOptions& options, const std::function<bool(std::string_view)>& write,
                const std::function<bool()>& more);

}  // namespace weft::runtime
