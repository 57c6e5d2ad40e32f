#include "kernel/ipsec.h"

#include <linux/xfrm.h>

#include <cerrno>
#include <cstring>

#include "kernel/netlink.h"

namespace weft::kernel {

Result<bool> has_ipsec_policies() {
    auto netlink = Netlink::open(NETLINK_XFRM);
    if (!netlink && errno == EPROTONOSUPPORT) return false;
    if (!netlink) return fail(netlink.error().in("IPsec"));
    Message message(XFRM_MSG_GETSPDINFO, NLM_F_ACK);
    const uint32_t nothing = 0;
    message.header(nothing);
    bool has = false;
    TRY_IN("IPsec policies", netlink->dump(message, [&](const nlmsghdr& reply) {
        if (reply.nlmsg_type != XFRM_MSG_NEWSPDINFO) return;
        for_each_attribute(reply, sizeof(uint32_t), [&](uint16_t type, const void* data, size_t bytes) {
            xfrmu_spdinfo count{};
            if (type != XFRMA_SPD_INFO || bytes < sizeof(count)) return;
            std::memcpy(&count, data, sizeof(count));
            has = count.incnt != 0 || count.outcnt != 0 || count.fwdcnt != 0;
        });
    }));
    return has;
}

}  // namespace weft::kernel
