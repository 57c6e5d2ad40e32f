#include "bpf/test/janitor.h"

#include <unistd.h>

#include <filesystem>

#include <fmt/format.h>

#include "kernel/bpf_object.h"
#include "kernel/cgroup.h"
#include "kernel/netns.h"
#include "test/support/janitor.h"

namespace weft::test {
namespace {

const pid_t test_process = getpid();

void clean_up() {
    const std::string prefix = test_netns_name("");
    if (const auto names = kernel::Netns::list()) {
        for (const std::string& name : *names) {
            if (name.starts_with(prefix)) (void)kernel::Netns::remove(name);
        }
    }
    if (const auto mount = kernel::find_cgroup2()) {
        std::error_code ignored;
        for (const auto& entry : std::filesystem::directory_iterator(*mount, ignored)) {
            const std::string name = entry.path().filename();
            if (name.starts_with(prefix)) (void)kernel::remove_cgroup(*mount, name);
        }
    }
    (void)kernel::unmount_bpf_filesystem(test_bpf_mount());
    rmdir(test_bpf_mount().c_str());
}

}  // namespace

std::string test_netns_name(std::string_view what) { return fmt::format("weft-bpftest-{}-{}", test_process, what); }

std::string test_bpf_mount() { return fmt::format("/run/weft-bpftest-{}", test_process); }

void start_janitor() {
    static bool started = false;
    if (std::exchange(started, true)) return;
    when_this_process_is_gone(clean_up);
}

}  // namespace weft::test
