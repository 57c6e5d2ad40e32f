// Probe: asks the kernel by doing. `weft doctor` tells by these what this machine can do before anything is built on
// it.
//
// Everything a probe makes lives in a network namespace without a name, on a thread of its own, and is gone when the
// function returns. Errors name the step that was refused. Threads: any.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/netns.h"

namespace weft::kernel {

// A program is loaded and put on a veth's clsact in a scratch namespace, as every pod's will be.
Status probe_data_plane();

// The nftables tables of a namespace ("ip filter"), where iptables-nft keeps its rules too, and the tables of the older
// iptables that are in use there ("iptables: filter").
Result<std::vector<std::string>> list_firewall_tables(const Netns& netns);

}  // namespace weft::kernel
