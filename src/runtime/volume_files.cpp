#include "runtime/volume_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <set>

#include "base/fd.h"
#include "base/strings.h"

namespace weft::runtime {

namespace fs = std::filesystem;

namespace {

Status set_owner(const std::string& path, unsigned mode, int64_t group) {
    if (group >= 0 && ::chown(path.c_str(), uid_t(-1), gid_t(group)) != 0) return fail_errno("chown " + path);
    if (::chmod(path.c_str(), mode) != 0) return fail_errno("chmod " + path);  // whatever the umask is
    return {};
}

// Into a folder that nobody sees yet, on a file system in memory: no fsync, no temporary name.
Status put_file(const std::string& path, const VolumeFile& file, int64_t group) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) return fail_errno("create " + path);
    for (size_t at = 0; at < file.content.size();) {
        const ssize_t n = ::write(fd.get(), file.content.data() + at, file.content.size() - at);
        if (n < 0 && errno != EINTR) return fail_errno("write " + path);
        if (n > 0) at += size_t(n);
    }
    // A group's members must be able to read what is theirs.
    return set_owner(path, group >= 0 ? file.mode | 0440 : file.mode, group);
}

// What `..data` names now; "" when nothing does.
std::string current_set(const std::string& folder) {
    std::error_code error;
    return fs::read_symlink(folder + "/..data", error).string();
}

Status replace_link(const std::string& path, const std::string& target) {
    const std::string temporary = path + "_tmp";
    (void)::unlink(temporary.c_str());
    if (::symlink(target.c_str(), temporary.c_str()) != 0) return fail_errno("symlink " + temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno("rename " + path);
    return {};
}

std::set<std::string> top_names(const VolumePlan& plan) {
    std::set<std::string> names;
    for (const auto& [path, unused] : plan.files) names.insert(path.substr(0, path.find('/')));
    return names;
}

// A runtime that was restarted finds what it would write: programs that watch are left alone.
bool stands_already(const std::string& set, const VolumePlan& plan, int64_t group) {
    size_t found = 0;
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(set, error)) {
        if (entry.is_directory(error)) continue;
        const auto file = plan.files.find(entry.path().string().substr(set.size() + 1));
        struct stat status{};
        if (file == plan.files.end() || ::stat(entry.path().c_str(), &status) != 0) return false;
        const unsigned mode = group >= 0 ? file->second.mode | 0440 : file->second.mode;
        if ((status.st_mode & 07777) != mode || size_t(status.st_size) != file->second.content.size()) return false;
        const Result<std::string> content = read_file(entry.path().string());
        if (!content || *content != file->second.content) return false;
        found++;
    }
    return !error && found == plan.files.size();
}

Status put_content(const std::string& folder, const VolumePlan& plan, int64_t group) {
    const std::string before = current_set(folder);
    if (!before.empty() && stands_already(folder + "/" + before, plan, group)) return {};
    const uint64_t number = before.starts_with("..") ? parse_unsigned(before.substr(2)).value_or(0) + 1 : 1;
    const std::string set = ".." + std::to_string(number);
    TRY(remove_tree(folder + "/" + set));  // what a crash left
    TRY(make_directories(folder + "/" + set, 0755));
    TRY(set_owner(folder + "/" + set, 0755, group));
    for (const auto& [path, file] : plan.files) {
        if (const size_t slash = path.rfind('/'); slash != std::string::npos)
            TRY(make_directories(folder + "/" + set + "/" + path.substr(0, slash), 0755));
        TRY(put_file(folder + "/" + set + "/" + path, file, group));
    }
    TRY(replace_link(folder + "/..data", set));
    const std::set<std::string> names = top_names(plan);
    for (const std::string& name : names)
        if (!fs::is_symlink(fs::symlink_status(folder + "/" + name)))
            TRY(replace_link(folder + "/" + name, "..data/" + name));
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with("..") ? name != "..data" && name != set : !names.contains(name))
            TRY(remove_tree(entry.path().string()));
    }
    return {};
}

}  // namespace

Status put_volume(const std::string& folder, const VolumePlan& plan, int64_t group) {
    if (plan.kind == VolumePlan::Kind::content) {
        TRY(make_directories(folder, 0755));
        TRY(set_owner(folder, 0755, group));
        return put_content(folder, plan, group);
    }
    std::error_code error;
    if (fs::exists(folder, error)) return {};  // its content is the pod's
    TRY(make_directories(folder, 0777));
    return set_owner(folder, group >= 0 ? 02777 : 0777, group);
}

}  // namespace weft::runtime
