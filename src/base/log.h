// One-line structured logs to stderr: time=... level=info process=agent msg="service programmed" service=default/web backends=3
//
// A line names its object; what can be counted is a metric first; secrets and payloads never appear. Threads: any.
#pragma once
#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace weft::log {

enum class Level : uint8_t { debug, info, warning, error };

// key=value; the value is quoted when it needs to be.
struct Field {
    std::string_view key;
    std::string value;

    Field(std::string_view k, std::string v) : key(k), value(std::move(v)) {}

    Field(std::string_view k, std::string_view v) : key(k), value(v) {}

    Field(std::string_view k, const char* v) : key(k), value(v) {}

    template <class T>
    Field(std::string_view k, const T& v) : key(k), value(fmt::to_string(v)) {}
};

// Set once at start of a process: "agent", "controller"... and the lowest level that is written ($WEFT_LOG, default info).
void set_process(std::string_view process, std::string_view node = {});
void set_level(Level level);
// Where lines go; stderr (2) unless a test or a sandboxed worker says otherwise.
void set_fd(int fd);

void write(Level level, std::string_view message, std::initializer_list<Field> fields);

inline void debug(std::string_view message, std::initializer_list<Field> fields = {}) { write(Level::debug, message, fields); }

inline void info(std::string_view message, std::initializer_list<Field> fields = {}) { write(Level::info, message, fields); }

inline void warning(std::string_view message, std::initializer_list<Field> fields = {}) {
    write(Level::warning, message, fields);
}

inline void error(std::string_view message, std::initializer_list<Field> fields = {}) { write(Level::error, message, fields); }

}  // namespace weft::log
