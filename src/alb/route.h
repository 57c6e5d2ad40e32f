// RouteTable: the immutable snapshot that requests are routed by; a new configuration is a new table, swapped in whole.
//
// host hash → path candidates by hash at each path element; the candidate with the lowest precedence number wins. Stays
// inside the most specific host that has a rule (ING-24): exact, then one-label wildcard, then any host.
// Threads: built by the brain, read by any. Source: spec/kubernetes.md ING-21..25; design.md §7.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ingress/config.h"

namespace weft::alb {

// What Ingresses are compiled to; these are the proxy's own words too.
using ingress::AlbConfig;
using ingress::BackendGroup;
using ingress::Certificates;
using ingress::no_group;
using ingress::PathKind;

struct StringHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <class T>
using StringMap = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;

class RouteTable {
public:
    explicit RouteTable(const AlbConfig& config);

    // The index of the group that shall answer; no_group = 404. `host` as sent (any case, with or without port), `path`
    // still encoded.
    uint32_t route(uint32_t vni, const io::SocketAddress& at, std::string_view host, std::string_view path) const;

    // What connections that arrive there begin with; nullptr: plain HTTP. Lives as long as the table.
    const std::shared_ptr<io::TlsContext>* tls(uint32_t vni, const io::SocketAddress& at) const;

    const BackendGroup& group(uint32_t index) const { return groups_[index]; }
    size_t group_count() const { return groups_.size(); }

private:
    struct Candidate {
        uint32_t precedence;
        uint32_t group;
    };
    struct HostRoutes {
        StringMap<Candidate> exact;
        StringMap<Candidate> prefixes;
        size_t prefix_bytes_max = 0;
        uint32_t fallback = no_group;

        uint32_t match(std::string_view path) const;
    };
    struct ListenerRoutes {
        StringMap<HostRoutes> hosts;      // "shop.example.test"
        StringMap<HostRoutes> wildcards;  // "example.test" of "*.example.test"
        const HostRoutes* any = nullptr;  // in hosts, under ""
        uint32_t fallback = no_group;
        std::shared_ptr<io::TlsContext> tls;
    };
    struct At {
        uint32_t vni;
        io::SocketAddress address;
        bool operator==(const At&) const = default;
    };
    struct AtHash {
        size_t operator()(const At& at) const {
            return std::hash<net::Address>()(at.address.address) ^ (size_t(at.vni) << 16) ^ at.address.port;
        }
    };

    std::unordered_map<At, ListenerRoutes, AtHash> listeners_;
    std::vector<BackendGroup> groups_;
};

}  // namespace weft::alb
