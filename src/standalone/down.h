// Down: ends an instance and shows that nothing of it is left: processes (by its cgroup, so also after every process was
// killed in the middle of `up`), namespaces, pins, mounts, folders, cgroups, and every BPF map, program and link by id.
//
// The store stays (state folder) unless purge. Errors: timeout, naming what is left after leftovers_wait_s.
#pragma once
#include <string>
#include <vector>

#include "base/instance.h"
#include "base/result.h"

namespace weft::standalone {

inline constexpr int leftovers_wait_s = 5;

struct BpfIds {
    std::vector<uint32_t> maps, programs, links;
};

// What the instance's pins hold, and the programs that use those maps.
Result<BpfIds> bpf_ids_of(const Instance& instance);
// Those that a look-up by id still finds.
BpfIds still_there(const BpfIds& ids);

// Paths, mounts, cgroups, namespaces and processes that carry the instance's name (the state folder aside unless `purged`).
std::vector<std::string> leftovers(const Instance& instance, bool purged);

Status down(const Instance& instance, bool purge);

}  // namespace weft::standalone
