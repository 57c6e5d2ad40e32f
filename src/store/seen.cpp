#include "store/seen.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/strings.h"

namespace weft::store {

static std::optional<SeenState> parse(std::string_view text) {
    const size_t space = text.find(' ');
    if (space == std::string_view::npos || !text.ends_with('\n')) return std::nullopt;
    const auto revision = parse_unsigned(text.substr(space + 1, text.size() - space - 2));
    if (!revision) return std::nullopt;
    return SeenState{std::string(text.substr(0, space)), Revision(*revision)};
}

Result<Seen> Seen::open(const std::string& path) {
    Seen seen;
    seen.file_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!seen.file_) return fail_errno("open " + path);
    char buffer[128];
    const ssize_t size = ::pread(seen.file_.get(), buffer, sizeof buffer, 0);
    if (size < 0) return fail_errno("read " + path);
    seen.found_ = parse({buffer, size_t(size)});
    return seen;
}

Status Seen::write(const SeenState& state) {
    const std::string text = fmt::format("{} {:020}\n", state.cluster_id, state.revision);
    if (::pwrite(file_.get(), text.data(), text.size(), 0) != ssize_t(text.size()))
        return fail_errno("write the seen file");
    return {};
}

}  // namespace weft::store
