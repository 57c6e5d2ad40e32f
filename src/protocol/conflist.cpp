#include "protocol/conflist.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "base/fd.h"
#include "base/json.h"

namespace weft::protocol::cni {

std::string conflist_text(const std::string& agent_socket) {
    const json::Object list{
        {"cniVersion", "1.0.0"},
        {"cniVersions", json::Array{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}},
        {"name", network_name},
        {"plugins", json::Array{json::Object{{"type", "weft-cni"}, {"agentSocket", agent_socket}}}}};
    return json::serialize(list) + "\n";
}

Status install_conflist(const std::string& folder, const std::string& agent_socket) {
    const std::string path = folder + "/" + std::string(conflist_name);
    const std::string text = conflist_text(agent_socket);
    if (const auto now = read_file(path); now && *now == text) return {};
    TRY(make_directories(folder, 0755));
    // A dot in front: no runtime takes a half-written file for a configuration.
    const std::string temporary = folder + "/." + std::string(conflist_name);
    Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) return fail_errno("open " + temporary);
    if (::write(fd.get(), text.data(), text.size()) != ssize_t(text.size())) return fail_errno("write " + temporary);
    if (::fsync(fd.get()) != 0) return fail_errno("fsync " + temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno("rename " + path);
    return {};
}

Status remove_conflist(const std::string& folder) {
    const std::string path = folder + "/" + std::string(conflist_name);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + path);
    return {};
}

std::string conflist_in_front(const std::string& folder) {
    std::string first(conflist_name);
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        const std::string name = entry.path().filename().string();
        const std::string extension = entry.path().extension().string();
        const bool is_read = extension == ".conflist" || extension == ".conf" || extension == ".json";
        if (is_read && name.front() != '.' && name < first) first = name;
    }
    return first == conflist_name ? "" : first;
}

}  // namespace weft::protocol::cni
