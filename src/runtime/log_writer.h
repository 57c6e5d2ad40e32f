// LogWriter: a container's output as lines with time and stream, in the format of the container runtimes:
//   2026-11-25T07:00:00.123456789Z stdout F the line
// F is a whole line, P a part of one longer than line_bytes_max. Above file_bytes_max the file becomes NAME.1 (one is
// kept). Errors: a full disk loses lines; a file that cannot be opened is said in shim.log. Threads: the shim's only.
#pragma once
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"

namespace weft::runtime {

class LogWriter {
public:
    static constexpr size_t line_bytes_max = 16 * 1024;
    static constexpr size_t file_bytes_max = 10 * 1024 * 1024;

    LogWriter(std::string path, const Clock& clock = system_clock());
    ~LogWriter();

    enum class Stream : uint8_t { out, err };
    void write(Stream stream, std::string_view bytes);
    void flush();  // what has no newline yet, as it stands

private:
    void put(Stream stream, char tag, std::string_view line);
    void open();

    const std::string path_;
    const Clock& clock_;
    Fd file_;
    size_t size_ = 0;
    std::string partial_[2];
};

}  // namespace weft::runtime
