// AllocationLog: which address which attachment has on this node, in an append-only file that survives kill -9 at any
// byte.
//
//   first line     weft-allocations 1 <boot id>       another boot: every namespace is gone, so the log is void
//   reserve {...}  an address is taken, nothing is wired yet         (reserved: undo it at start)
//   confirm <key>  the attachment works                              (in use)
//   release <key> <time>   the address rests until then: a late packet for the old pod must not reach a new one
//
// A line counts once it ends with a newline; a torn last line is cut off. No fsync: the kernel keeps what a killed
// process wrote, and after a power loss the boot id differs. compact() rewrites the file (temporary name, rename) when
// most of it is history. Time is monotonic seconds of this boot. Threads: the brain's. Source: design.md §6.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "net/address.h"

namespace weft::agent {

inline constexpr uint64_t cool_down_s = 30;
inline constexpr size_t log_lines_before_compaction = 1000;

// One attachment: container and interface name, as CNI says them.
struct AttachmentKey {
    std::string container_id;
    std::string ifname;
    std::string text() const { return container_id + "/" + ifname; }  // neither may hold a slash (CNI-3)
    auto operator<=>(const AttachmentKey&) const = default;
};

struct Allocation {
    AttachmentKey key;
    bool confirmed = false;
    std::string pod_namespace, pod_name, pod_uid;
    std::string netns;                // path
    std::string vpc, vswitch, block;  // names
    uint32_t vni = 0;
    net::Address address;
    std::optional<net::Address> ipv6 = std::nullopt;  // as the vSwitch had it at the time: it stays for the pod's life
    uint32_t endpoint_id = 0;
    std::string host_link;
    unsigned mtu = 0;
    std::string network;       // the CNI configuration's name; "" = written before this was noted
    uint64_t reserved_ms = 0;  // uptime
    bool operator==(const Allocation&) const = default;
};

// An address of a VPC that nobody has any more, but not for long enough.
struct Cooling {
    std::string vpc;
    net::Address address;
    auto operator<=>(const Cooling&) const = default;
};

// What a log says, from its text alone.
struct AllocationState {
    std::map<AttachmentKey, Allocation> allocations;
    std::map<Cooling, uint64_t> cooling;  // until, uptime in seconds
    size_t lines = 0;
    size_t good_bytes = 0;  // up to the last whole line
};
// invalid: the first line is not ours or a whole line cannot be read. A log of another boot is an empty state.
Result<AllocationState> read_allocations(std::string_view text, std::string_view boot_id);

class AllocationLog {
public:
    // `boot_id` as /proc/sys/kernel/random/boot_id says it.
    static Result<AllocationLog> open(const std::string& path, std::string_view boot_id);

    const std::map<AttachmentKey, Allocation>& allocations() const { return state_.allocations; }
    const Allocation* find(const AttachmentKey& key) const;
    const std::map<Cooling, uint64_t>& cooling() const { return state_.cooling; }

    Status reserve(const Allocation& allocation);              // already_exists
    Status confirm(const AttachmentKey& key);                  // not_found
    Status release(const AttachmentKey& key, uint64_t now_s);  // absent is success
    void forget_cooled(uint64_t now_s);                        // those whose rest is over
    Status compact_if_worth_it(uint64_t now_s);

private:
    AllocationLog(std::string path, std::string boot_id, Fd fd, AllocationState state)
        : path_(std::move(path)), boot_id_(std::move(boot_id)), fd_(std::move(fd)), state_(std::move(state)) {}

    Status append(const std::string& line);

    std::string path_, boot_id_;
    Fd fd_;
    AllocationState state_;
};

uint64_t uptime_s(const Clock& clock);  // the same for every process of one boot
uint64_t uptime_ms(const Clock& clock);
Result<std::string> boot_id();

}  // namespace weft::agent
