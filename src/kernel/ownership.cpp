#include "kernel/ownership.h"

#include "base/rng.h"

namespace weft::kernel {
namespace {

constexpr size_t pod_link_hex_digits = 10;

}  // namespace

std::string new_pod_link_name() { return std::string(pod_link_prefix) + random_hex(pod_link_hex_digits / 2); }

bool is_pod_link_name(std::string_view name) {
    if (name.size() != pod_link_prefix.size() + pod_link_hex_digits || name.substr(0, 4) != pod_link_prefix)
        return false;
    return name.find_first_not_of("0123456789abcdef", pod_link_prefix.size()) == name.npos;
}

std::string service_link_name(uint32_t vni) { return std::string(service_link_prefix) + std::to_string(vni); }

net::Mac endpoint_mac(uint32_t endpoint_id) {
    return net::Mac{{0x06, 0x77, uint8_t(endpoint_id >> 24), uint8_t(endpoint_id >> 16), uint8_t(endpoint_id >> 8),
                     uint8_t(endpoint_id)}};
}

}  // namespace weft::kernel
