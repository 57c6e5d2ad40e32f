// Janitor: cleans up after a test process however it ends. It is a child that waits for the end of its parent, then
// removes the network namespaces, cgroups and BPF file system that carry the parent's process id in their name.
#pragma once
#include <string>
#include <string_view>

namespace weft::test {

std::string test_netns_name(std::string_view what);  // "weft-bpftest-<pid>-<what>"
std::string test_bpf_mount();                        // "/run/weft-bpftest-<pid>"

// Before any thread is started. Later calls do nothing.
void start_janitor();

}  // namespace weft::test
