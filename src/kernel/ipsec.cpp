#include "kernel/ipsec.h"

#include <linux/xfrm.h>

#include <cerrno>
#include <cstring>

#include "kernel/netlink.h"

namespace weft::kernel {
namespace {

// Asks a question and hands its answer's bytes to `use`.
template <class Question, class Use>
Status ask(Netlink& netlink, uint16_t type, uint16_t answer, Use use) {
    Message message(type, NLM_F_ACK);
    message.header(Question{});
    return netlink.dump(message, [&](const nlmsghdr& reply) {
        if (reply.nlmsg_type == answer) use(reply);
    });
}

}  // namespace

Result<bool> has_ipsec_policies() {
    auto netlink = Netlink::open(NETLINK_XFRM);
    if (!netlink && errno == EPROTONOSUPPORT) return false;
    if (!netlink) return fail(netlink.error().in("IPsec"));
    bool has = false;
    TRY_IN("IPsec policies", ask<uint32_t>(*netlink, XFRM_MSG_GETSPDINFO, XFRM_MSG_NEWSPDINFO, [&](const nlmsghdr& reply) {
        for_each_attribute(reply, sizeof(uint32_t), [&](uint16_t type, const void* data, size_t bytes) {
            xfrmu_spdinfo count{};
            if (type != XFRMA_SPD_INFO || bytes < sizeof(count)) return;
            std::memcpy(&count, data, sizeof(count));
            has = count.incnt != 0 || count.outcnt != 0 || count.fwdcnt != 0;
        });
    }));
    TRY_IN("IPsec default policy",
           ask<xfrm_userpolicy_default>(*netlink, XFRM_MSG_GETDEFAULT, XFRM_MSG_GETDEFAULT, [&](const nlmsghdr& reply) {
               const auto* policy = static_cast<const xfrm_userpolicy_default*>(NLMSG_DATA(&reply));
               has = has || policy->in == XFRM_USERPOLICY_BLOCK || policy->out == XFRM_USERPOLICY_BLOCK;
           }));
    return has;
}

}  // namespace weft::kernel
