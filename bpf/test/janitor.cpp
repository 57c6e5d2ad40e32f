#include "bpf/test/janitor.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include <fmt/format.h>

#include "base/result.h"
#include "kernel/bpf_object.h"
#include "kernel/cgroup.h"
#include "kernel/netns.h"

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
    int ends[2];
    ENSURE(pipe2(ends, O_CLOEXEC) == 0);
    const pid_t child = fork();
    ENSURE(child >= 0);
    if (child != 0) {
        close(ends[0]);  // ends[1] stays open until this process is gone
        return;
    }
    setsid();
    close(ends[1]);
    // Let go of the output: whoever reads it waits for its end.
    const int null = open("/dev/null", O_RDWR);
    for (const int fd : {0, 1, 2}) dup2(null, fd);
    char byte = 0;
    while (read(ends[0], &byte, 1) > 0) {}
    clean_up();
    _exit(0);
}

}  // namespace weft::test
