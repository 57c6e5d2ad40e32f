#include "runtime/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <deque>

#include "base/fd.h"
#include "base/strings.h"

namespace weft::runtime {

static Result<std::optional<uint64_t>> number_of(const http::Query& query, std::string_view name) {
    if (!query.has(name)) return std::nullopt;
    const std::optional<uint64_t> value = parse_unsigned(query.get(name));
    if (!value)
        return fail(Code::invalid,
                    fmt::format("{}: Invalid value: \"{}\": must be a non-negative integer", name, query.get(name)));
    return value;
}

Result<LogOptions> parse_log_options(const http::Query& query, const Clock& clock) {
    LogOptions options;
    options.follow = query.flag("follow");
    options.timestamps = query.flag("timestamps");
    options.previous = query.flag("previous");
    options.tail_lines = TRY(number_of(query, "tailLines"));
    options.limit_bytes = TRY(number_of(query, "limitBytes"));
    const std::optional<uint64_t> since_s = TRY(number_of(query, "sinceSeconds"));
    if (since_s && query.has("sinceTime"))
        return fail(Code::invalid,
                    "sinceSeconds: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified");
    if (since_s) options.since = clock.wall() - std::chrono::seconds(*since_s);
    if (query.has("sinceTime")) {
        WallTime time{};
        if (!parse_rfc3339(std::string(query.get("sinceTime")), time))
            return fail(Code::invalid, fmt::format("sinceTime: Invalid value: \"{}\"", query.get("sinceTime")));
        options.since = time;
    }
    return options;
}

namespace {

// One written line: "TIME STREAM TAG TEXT". Lines of another shape are passed as they stand.
struct Line {
    std::string_view time, text;
    bool whole = true;
};

Line parse_line(std::string_view line) {
    const size_t first = line.find(' ');
    const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
    const size_t third = second == std::string_view::npos ? second : line.find(' ', second + 1);
    if (third == std::string_view::npos) return {"", line, true};
    return {line.substr(0, first), line.substr(third + 1), line.substr(second + 1, third - second - 1) != "P"};
}

class Selector {
public:
    Selector(const LogOptions& options, const std::function<bool(std::string_view)>& write)
        : options_(options), write_(write), left_(options.limit_bytes.value_or(UINT64_MAX)) {}

    // False: the reader has enough.
    bool take(std::string_view raw) {
        const Line line = parse_line(raw);
        WallTime time{};
        if (options_.since && parse_rfc3339(std::string(line.time), time) && time < *options_.since) return true;
        std::string text;
        if (options_.timestamps && at_line_start_) text = std::string(line.time) + " ";
        text += line.text;
        if (line.whole) text += '\n';
        at_line_start_ = line.whole;
        if (text.size() > left_) text.resize(left_);
        left_ -= text.size();
        return (text.empty() || write_(text)) && left_ > 0;
    }

private:
    const LogOptions& options_;
    const std::function<bool(std::string_view)>& write_;
    uint64_t left_;
    bool at_line_start_ = true;
};

bool same_file(int fd, const std::string& path) {
    struct stat open_file, named;
    return fstat(fd, &open_file) == 0 && stat(path.c_str(), &named) == 0 && open_file.st_ino == named.st_ino;
}

// Reads lines from a file that may grow and be renamed.
class Tail {
public:
    explicit Tail(std::string path) : path_(std::move(path)) { reopen(); }

    bool is_open() const { return bool(file_); }

    // The next whole line; nullopt when nothing more stands there yet.
    std::optional<std::string> next() {
        for (;;) {
            if (const size_t end = buffer_.find('\n', at_); end != std::string::npos) {
                std::string line = buffer_.substr(at_, end - at_);
                at_ = end + 1;
                return line;
            }
            buffer_.erase(0, std::exchange(at_, 0));
            char bytes[65536];
            const ssize_t n = file_ ? ::read(file_.get(), bytes, sizeof bytes) : 0;
            if (n > 0) {
                buffer_.append(bytes, size_t(n));
                continue;
            }
            if (file_ && same_file(file_.get(), path_)) return std::nullopt;
            if (!reopen()) return std::nullopt;
        }
    }

private:
    bool reopen() {
        file_ = Fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
        return bool(file_);
    }

    const std::string path_;
    Fd file_;
    std::string buffer_;
    size_t at_ = 0;
};

}  // namespace

Status read_log(const std::string& path, const LogOptions& options, const std::function<bool(std::string_view)>& write,
                const std::function<bool()>& more) {
    Selector selector(options, write);
    std::deque<std::string> kept;  // with tail_lines: the last lines so far
    const auto take_or_keep = [&](std::string&& line) {
        if (!options.tail_lines) return selector.take(line);
        kept.push_back(std::move(line));
        if (kept.size() > *options.tail_lines) kept.pop_front();
        return true;
    };
    Tail older(path + ".1");
    if (older.is_open())
        while (std::optional<std::string> line = older.next())
            if (!take_or_keep(std::move(*line))) return {};
    Tail tail(path);
    if (!tail.is_open() && !options.follow) return fail(Code::not_found, "there is no log");
    while (std::optional<std::string> line = tail.next())
        if (!take_or_keep(std::move(*line))) return {};
    for (const std::string& line : kept)
        if (!selector.take(line)) return {};
    while (options.follow) {
        // Asked before reading: what was written before the container ended is still read after.
        const bool goes_on = more();
        while (std::optional<std::string> line = tail.next())
            if (!selector.take(*line)) return {};
        if (!goes_on) return {};
    }
    return {};
}

}  // namespace weft::runtime
