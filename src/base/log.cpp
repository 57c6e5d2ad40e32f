#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <ctime>
#include <iterator>

namespace weft::log {

static std::string process_name;
static std::string node_name;
static std::atomic<Level> lowest{Level::info};
static std::atomic<int> out_fd{2};

void set_process(std::string_view process, std::string_view node) {
    process_name = process;
    node_name = node;
    const char* wish = std::getenv("WEFT_LOG");
    if (wish == nullptr) return;
    const std::string_view level(wish);
    if (level == "debug") lowest = Level::debug;
    if (level == "warning") lowest = Level::warning;
    if (level == "error") lowest = Level::error;
}

void set_level(Level level) { lowest = level; }

void set_fd(int fd) { out_fd = fd; }

static const char* level_name(Level level) {
    static const char* const names[] = {"debug", "info", "warning", "error"};
    return names[size_t(level)];
}

static void append_value(std::string& line, std::string_view value) {
    const bool plain = !value.empty() && value.find_first_of(" \"\n\r\t=\\") == std::string_view::npos;
    if (plain) {
        line += value;
        return;
    }
    line += '"';
    for (const char c : value) {
        if (c == '"' || c == '\\') line += '\\';
        if (c == '\n') {
            line += "\\n";
        } else if (uint8_t(c) < 0x20) {
            fmt::format_to(std::back_inserter(line), "\\x{:02x}", uint8_t(c));
        } else {
            line += c;
        }
    }
    line += '"';
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
    if (level < lowest.load(std::memory_order_relaxed)) return;
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    gmtime_r(&now.tv_sec, &parts);
    std::string line =
        fmt::format("time={:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z level={}", parts.tm_year + 1900, parts.tm_mon + 1,
                    parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec / 1000000, level_name(level));
    if (!process_name.empty()) line += " process=" + process_name;
    if (!node_name.empty()) line += " node=" + node_name;
    line += " msg=";
    append_value(line, message);
    for (const Field& field : fields) {
        line += ' ';
        line += field.key;
        line += '=';
        append_value(line, field.value);
    }
    line += '\n';
    // One write per line: lines of several processes sharing the descriptor never interleave (PIPE_BUF, O_APPEND).
    (void)!::write(out_fd.load(std::memory_order_relaxed), line.data(), line.size());
}

}  // namespace weft::log
