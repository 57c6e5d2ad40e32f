// IPsec: does this namespace have policies? What hooks send and take by themselves passes none of them.
//
// Or a default that blocks. Errors: whatever netlink says. A kernel without IPsec has none. Source: linux/xfrm.h.
#pragma once
#include "base/result.h"

namespace weft::kernel {

Result<bool> has_ipsec_policies();  // of the calling thread's namespace

}  // namespace weft::kernel
