// Conflist: the file by which a container runtime finds us: 05-weft.conflist, in the folder it reads.
//
// Written once the agent can serve, as temporary file, fsync and rename, and only when it differs; never removed
// because an agent stops (pods would fail), but on uninstall. The list says 1.0.0 for runtimes that know no newer, and
// cniVersions for those that do. Errors: from the file system. Threads: any. Source: spec/kubernetes.md CNI-50.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace weft::protocol::cni {

inline constexpr std::string_view network_name = "weft";
inline constexpr std::string_view conflist_name = "05-weft.conflist";

std::string conflist_text(const std::string& agent_socket);
Status install_conflist(const std::string& folder, const std::string& agent_socket);
Status remove_conflist(const std::string& folder);  // absent is success
// Of the files a runtime would read, the first that sorts before ours and so wins; "" when ours is the first.
std::string conflist_in_front(const std::string& folder);

}  // namespace weft::protocol::cni
