// Netns: a network namespace held by a descriptor; named ones live under /run/netns as `ip netns` makes them.
//
// run() works on a thread of its own that enters the namespace and ends, so no other code ever finds itself in a
// foreign one. Whatever is opened inside (sockets, Netlink) belongs to that namespace for good and may be used from
// anywhere. A namespace lives on while a descriptor, a mount or a process holds it: remove() takes the name away, not
// more. Threads: any. Source: network_namespaces(7); ip-netns(8).
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace weft::kernel {

class Netns {
public:
    static Result<Netns> open(std::string_view name);         // /run/netns/<name>
    static Result<Netns> open_path(const std::string& path);  // any nsfs file: /run/netns/x, /proc/7/ns/net
    static Result<Netns> current();                           // the calling thread's
    static Result<Netns> create(std::string_view name);       // with lo up; already_exists
    static Result<Netns> open_or_create(std::string_view name);
    static Status remove(std::string_view name);  // absent is success
    static bool exists(std::string_view name);
    static Result<std::vector<std::string>> list();  // every name, sorted

    // Runs `work` inside and returns its Result or Status.
    template <class Work>
    std::invoke_result_t<Work> run(Work&& work) const {
        using Answer = std::invoke_result_t<Work>;
        Answer answer = fail(Code::io, "not run");
        if (Status entered = run_on_thread([&] { answer = work(); }); !entered) return fail(entered.error());
        return answer;
    }

    int fd() const { return fd_.get(); }

    Result<uint64_t> cookie() const;  // as bpf_get_netns_cookie sees it; never the same twice until reboot
    Result<uint64_t> inode() const;   // equal for two descriptors of one namespace

private:
    explicit Netns(Fd fd) : fd_(std::move(fd)) {}

    Status run_on_thread(const std::function<void()>& work) const;

    Fd fd_;
};

}  // namespace weft::kernel
