// ApiProcess: one real `weft apiserver` without the rest of a weft, for tests of the server itself: started, killed and
// started again on one state folder, which may be a small disk of its own. Everything is named by the test's process id
// and gone at the end. Header-only, used by store_fire_test.cpp and api_load_test.cpp. Threads:
// start, kill9 and the disk from one; endpoint() any.
#pragma once
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "base/fd.h"
#include "base/instance.h"
#include "base/json.h"
#include "base/strings.h"
#include "kube/client.h"
#include "support/world.h"

namespace weft::test {

class ApiProcess {
public:
    explicit ApiProcess(char letter) : instance_(MUST(Instance::parse(fmt::format("{}{:x}", letter, getpid())))) {}

    ~ApiProcess() {
        kill9();
        if (disk_) (void)::umount2(instance_.state_dir().c_str(), MNT_DETACH);
        (void)remove_tree(instance_.state_dir());
        (void)remove_tree(instance_.run_dir());
        (void)::unlink(log_file().c_str());
    }

    ApiProcess(const ApiProcess&) = delete;
    ApiProcess& operator=(const ApiProcess&) = delete;

    const Instance& instance() const { return instance_; }

    int pid() const { return pid_; }

    // Before the first start: the state folder becomes a disk of this size.
    std::string put_on_disk(int mebibytes) {
        MUST(make_directories(instance_.state_dir(), 0700));
        const std::string size = fmt::format("size={}m,mode=700", mebibytes);
        if (::mount("tmpfs", instance_.state_dir().c_str(), "tmpfs", 0, size.c_str()) != 0)
            return "cannot mount a tmpfs";
        disk_ = true;
        return "";
    }

    void fill_disk() const {
        const Fd file(::open(filler().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
        const std::string block(4096, 'x');
        while (::write(file.get(), block.data(), block.size()) > 0) {
        }
    }

    void empty_disk() const { ::unlink(filler().c_str()); }

    // "" once it answers requests.
    std::string start() {
        const std::string binary = std::string(WEFT_BIN) + "/weft", log = log_file();
        pid_ = fork();
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
            dup2(out, 1);
            dup2(out, 2);
            execl(binary.c_str(), "weft", "apiserver", "--instance", instance_.name().c_str(), nullptr);
            _exit(127);
        }
        return eventually(30, [&]() -> std::string {
            int status = 0;
            if (pid_ > 0 && waitpid(pid_, &status, WNOHANG) == pid_) {
                pid_ = 0;
                return fmt::format("the API server ended with status {}", status);
            }
            if (pid_ == 0) return "the API server ended";
            const auto reply = kube::raw_request(endpoint(false), "GET", "/livez", "", "", "");
            return reply && reply->status == 200 ? "" : "the API server does not answer";
        });
    }

    bool running() const { return pid_ > 0; }

    void kill9() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        (void)waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }

    kube::Endpoint endpoint(bool as_root = true) const {
        kube::Endpoint endpoint;
        endpoint.unix_socket = instance_.api_socket();
        endpoint.user_agent = "test";
        if (as_root) endpoint.token = std::string(trim(read_file(instance_.state_dir() + "/root.token").value_or("")));
        return endpoint;
    }

    std::string log_file() const { return instance_.run_dir() + ".log"; }

private:
    std::string filler() const { return instance_.state_dir() + "/filler"; }

    const Instance instance_;
    int pid_ = 0;
    bool disk_ = false;
};

}  // namespace weft::test
