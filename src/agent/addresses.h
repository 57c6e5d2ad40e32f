// Which address a new pod gets: the lowest free one of the node's blocks of its vSwitch, or the one reserved for its name.
// Pure: objects in, values out. A vSwitch keeps back its first and last addresses (cloud/vswitch.h); a freed address rests
// for a while, unless the same name gets it again.
// Source: design.md §6, docs/design/objects.md.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/allocation_log.h"
#include "base/clock.h"
#include "base/json.h"
#include "cloud/vswitch.h"
#include "net/address.h"

namespace weft::agent {

// An AddressBlock leased to this node.
struct Block {
    std::string name;
    std::string vpc;
    std::string vswitch;
    net::Prefix cidr;
    bool deleting = false;  // being taken back: gives no address any more
    std::set<net::Address> withheld;  // of it, but lent or kept elsewhere
    std::string pod_namespace, pod_name;  // lent for this pod alone; "" = for any
    int64_t generation = 0;  // of its spec
    bool operator==(const Block&) const = default;
};

// invalid names the field; not for this node is the caller's business (spec.node).
Result<Block> parse_block(const json::Value& object);

// The pod that asks. With an address: that one, out of a block lent for the pod, or none.
struct Asker {
    std::string pod_namespace, pod_name;
    std::optional<net::Address> address;
};

struct Choice {
    std::string block;
    net::Address address;
};
std::optional<Choice> choose_address(const std::vector<Block>& blocks, const cloud::VSwitch& vswitch,
                                     const AllocationLog& log, uint64_t now_s, const Asker& asker = {});

// One that its runtime wishes for (CNI-34), or why it cannot have it: it is none of the vSwitch's, somebody has it or it
// rests, or no block that is lent to this node has it.
enum class WishProblem : uint8_t { outside, taken, not_here };
std::expected<Choice, WishProblem> wished_address(const std::vector<Block>& blocks, const cloud::VSwitch& vswitch,
                                                  const AllocationLog& log, uint64_t now_s,
                                                  const net::Address& address);

// The status a block should have: who has its addresses, which ones rest (until, in wall time), used and free, and which
// spec that follows (what it withholds is then nobody's, or is listed). Times that `actual` shows already are kept when
// they are right to the second or two: two clocks never round alike.
json::Object desired_block_status(const Block& block, const cloud::VSwitch* vswitch, const AllocationLog& log,
                                  uint64_t now_s, WallTime now, const json::Value* actual = nullptr);

}  // namespace weft::agent
