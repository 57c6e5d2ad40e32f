#include "alb/route.h"

#include <algorithm>
#include <array>

namespace weft::alb {

namespace {

constexpr size_t host_bytes_max = 255;

// Lower case without port and final dot, in `out`; empty for what cannot be a DNS name of ours.
std::string_view normal_host(std::string_view host, std::array<char, host_bytes_max>& out) {
    if (host.starts_with('[')) return {};
    host = host.substr(0, host.find(':'));
    if (host.ends_with('.')) host.remove_suffix(1);
    if (host.size() > out.size()) return {};
    std::transform(host.begin(), host.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    return {out.data(), host.size()};
}

}  // namespace

RouteTable::RouteTable(const AlbConfig& config) : groups_(config.groups) {
    for (const auto& listener : config.listeners) {
        ListenerRoutes& routes = listeners_[{listener.vni, listener.at}];
        routes.fallback = listener.fallback;
        routes.tls = listener.tls;
        for (const auto& host : listener.hosts) {
            const bool wildcard = host.host.starts_with("*.");
            HostRoutes& made = wildcard ? routes.wildcards[host.host.substr(2)] : routes.hosts[host.host];
            made.fallback = host.fallback;
            uint32_t precedence = 0;
            for (const auto& rule : host.paths) {
                auto& candidates = rule.kind == PathKind::exact ? made.exact : made.prefixes;
                candidates.try_emplace(rule.path, Candidate{precedence++, rule.group});
                if (rule.kind == PathKind::prefix)
                    made.prefix_bytes_max = std::max(made.prefix_bytes_max, rule.path.size());
            }
        }
        if (const auto any = routes.hosts.find(std::string_view()); any != routes.hosts.end())
            routes.any = &any->second;
    }
}

const std::shared_ptr<io::TlsContext>* RouteTable::tls(uint32_t vni, const io::SocketAddress& at) const {
    const auto found = listeners_.find({vni, at});
    return found == listeners_.end() || !found->second.tls ? nullptr : &found->second.tls;
}

uint32_t RouteTable::route(uint32_t vni, const io::SocketAddress& at, std::string_view host,
                           std::string_view path) const {
    const auto listener = listeners_.find(At{vni, at});
    if (listener == listeners_.end()) return no_group;
    const ListenerRoutes& routes = listener->second;
    std::array<char, host_bytes_max> lower;
    const auto name = normal_host(host, lower);
    if (!name.empty()) {
        if (const auto exact = routes.hosts.find(name); exact != routes.hosts.end()) return exact->second.match(path);
        if (const size_t dot = name.find('.'); dot != std::string_view::npos && dot > 0) {
            const auto wildcard = routes.wildcards.find(name.substr(dot + 1));
            if (wildcard != routes.wildcards.end()) return wildcard->second.match(path);
        }
    }
    if (routes.any != nullptr) return routes.any->match(path);
    return routes.fallback;
}

uint32_t RouteTable::HostRoutes::match(std::string_view path) const {
    Candidate best{UINT32_MAX, fallback};
    const auto consider = [&](const StringMap<Candidate>& candidates, std::string_view text) {
        const auto found = candidates.find(text);
        if (found != candidates.end() && found->second.precedence < best.precedence) best = found->second;
    };
    consider(exact, path);
    if (prefixes.empty()) return best.group;
    // Every element boundary of the path, up to the longest prefix there is: "/a/b/c" → "/a/b/c", "/a/b", "/a", "".
    if (path.size() <= prefix_bytes_max) consider(prefixes, path);
    for (size_t end = std::min(path.size(), prefix_bytes_max + 1); end-- > 0;) {
        if (path[end] == '/') consider(prefixes, path.substr(0, end));
    }
    return best.group;
}

}  // namespace weft::alb
