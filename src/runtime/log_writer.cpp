#include "runtime/log_writer.h"

#include <fcntl.h>
#include <fmt/format.h>

#include "base/log.h"

namespace weft::runtime {

LogWriter::LogWriter(std::string path, const Clock& clock) : path_(std::move(path)), clock_(clock) { open(); }

LogWriter::~LogWriter() { flush(); }

void LogWriter::open() {
    file_ = Fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    size_ = file_ ? size_t(std::max<off_t>(0, lseek(file_.get(), 0, SEEK_END))) : 0;
    if (!file_)
        log::warning("container output is lost", {{"file", path_}, {"error", fail_errno("open").error().message}});
}

void LogWriter::write(Stream stream, std::string_view bytes) {
    std::string& partial = partial_[size_t(stream)];
    while (!bytes.empty()) {
        const size_t end = bytes.find('\n');
        partial.append(bytes.substr(0, end));
        while (partial.size() > line_bytes_max) {
            put(stream, 'P', std::string_view(partial).substr(0, line_bytes_max));
            partial.erase(0, line_bytes_max);
        }
        if (end == std::string_view::npos) return;
        put(stream, 'F', partial);
        partial.clear();
        bytes.remove_prefix(end + 1);
    }
}

void LogWriter::flush() {
    for (const Stream stream : {Stream::out, Stream::err}) {
        std::string& partial = partial_[size_t(stream)];
        if (!partial.empty()) put(stream, 'F', partial);
        partial.clear();
    }
}

void LogWriter::put(Stream stream, char tag, std::string_view line) {
    if (size_ > file_bytes_max) {
        (void)::rename(path_.c_str(), (path_ + ".1").c_str());
        open();
    }
    const int64_t ns = clock_.wall().time_since_epoch().count() % 1000000000;
    std::string second = rfc3339(clock_.wall());
    second.pop_back();
    const std::string text =
        fmt::format("{}.{:09}Z {} {} {}\n", second, ns, stream == Stream::out ? "stdout" : "stderr", tag, line);
    if (file_ && ::write(file_.get(), text.data(), text.size()) > 0) size_ += text.size();
}

}  // namespace weft::runtime
