// FakeUnderlay: an underlay in memory. Everything is on the wire but what a test puts beyond a router.
#pragma once
#include <set>

#include "agent/underlay.h"

namespace weft::agent {

class FakeUnderlay final : public Underlay {
public:
    std::optional<net::Address> next_hop(const net::Address& to) override {
        if (unreachable.contains(to)) return std::nullopt;
        const auto hop = hops.find(to);
        return hop == hops.end() ? to : hop->second;
    }

    bool is_on_link(const net::Address& to) override {
        ++asked;
        return next_hop(to) == to;
    }

    Status set_narrow(const std::map<net::Address, unsigned>& mtu_of) override {
        narrow = mtu_of;
        return {};
    }

    std::map<net::Address, net::Address> hops;
    std::set<net::Address> unreachable;
    std::map<net::Address, unsigned> narrow;
    unsigned asked = 0;  // is_on_link
};

}  // namespace weft::agent
