#include "agent/interface_ipv6.h"

#include <algorithm>

#include "abi/endpoint.h"
#include "kernel/sysctl.h"

namespace weft::agent {

// Nothing is learned and no duplicate looked for.
static constexpr const char* silenced[] = {"accept_ra", "autoconf", "accept_redirects", "accept_dad", "dad_transmits"};

Status set_ipv6_of_new(const kernel::SysctlFolder* conf, const std::string& ifname, bool on) {
    if (conf == nullptr) return on ? Status(fail(Code::not_found, "this kernel has no IPv6")) : Status();
    if (on)
        for (const char* name : silenced) TRY(conf->write(ifname + "/" + name, "0"));
    return conf->write(ifname + "/disable_ipv6", on ? "0" : "1");
}

Status set_ipv6(const std::string& ifname, bool on) {
    const std::string folder = "net/ipv6/conf/" + ifname + "/";
    if (on)
        for (const char* name : silenced) TRY(kernel::set_sysctl(folder + name, "0"));
    const auto set = kernel::set_sysctl(folder + "disable_ipv6", on ? "0" : "1");
    if (!set && (on || set.error().code != Code::not_found)) return fail(set.error());
    return {};
}

net::Address gateway_ipv6() { return MUST(net::Address::parse("fe80::1")); }

net::Address neighbour_ipv6(const net::Address& v4) {
    net::Address address = neighbours_ipv6().address;
    std::copy(v4.bytes.begin() + 12, v4.bytes.end(), address.bytes.begin() + 12);
    return address;
}

net::Prefix neighbours_ipv6() {
    net::Address address;
    for (int word = 0; word < 3; ++word)
        for (int byte = 0; byte < 4; ++byte) {
            constexpr uint32_t words[] = {IDENTITY_V6_0, IDENTITY_V6_1, 0};
            address.bytes[size_t(word * 4 + byte)] = uint8_t(words[word] >> (24 - 8 * byte));
        }
    return net::Prefix::of(address, 96);
}

}  // namespace weft::agent
