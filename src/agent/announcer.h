// Announcer: which public addresses this node answers for on the wire. Of all nodes that serve an address one announces
// it, by ARP; who does is decided by the nodes among themselves, by asking on that wire, so it holds without the API,
// and with the announcer's agent dead: its kernel goes on answering.
//
//   silent ──(a candidate, and nobody answered `patience` rounds)──→ announced: row written, gratuitous ARP
//   announced ──(no candidate any more | wire unplugged | a second one with a smaller MAC answers)──→ silent
//
// Candidates, the first candidates_max by name: the Ready nodes without the label that excludes them (kubernetes.md: a node
// about to leave carries it); for externalTrafficPolicy Local those of them with an endpoint of the Service. A later candidate waits longer than the one before it. Who announces keeps on when a
// candidate before it comes back: connections through it go on. A lone node asks nobody. An IPv6 address goes with the
// IPv4 ones of the same candidates.
//
// Limits: at most asks_max addresses are asked for in a round, so up to that many are taken over within 3 s of a loss.
// Threads: the brain's. Source: issue "VPCs over several nodes"; bpf/abi/service.h FRONTEND_ANNOUNCED.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/tables.h"
#include "kernel/arp.h"
#include "kube/object.h"

namespace weft::agent {

inline constexpr Duration announcer_round = std::chrono::milliseconds(300);
inline constexpr size_t candidates_max = 4;
inline constexpr std::string_view exclusion_label = "node.kubernetes.io/exclude-from-external-load-balancers";
inline constexpr size_t asks_max = 64;

// What the API says about who may announce.
struct Candidates {
    std::vector<std::string> everyone;  // the usable nodes by name; all nodes when none is
    bool is_alone = false;              // there is one node only
    std::map<net::Address, std::vector<std::string>> of_address;  // where they are fewer

    bool operator==(const Candidates&) const = default;
};

Candidates find_candidates(
    const std::vector<kube::ObjectPtr>& nodes, const std::vector<kube::ObjectPtr>& local_services,
    const std::function<std::vector<kube::ObjectPtr>(const kube::ObjectKey&)>& slices_of);
// Ready, and not excluded.
bool is_usable(const kube::Object& node);
// A Service whose public addresses only nodes with its endpoints should announce.
bool is_announced_where_it_serves(const kube::Object& service);

class Announcer {
public:
    Announcer(std::string node, const net::Mac& mac, Tables& tables, kernel::Wire& wire)
        : node_(std::move(node)), mac_(mac), tables_(tables), wire_(wire) {}

    void set_candidates(Candidates candidates);
    // One round: judge what the last one's questions brought, then ask again.
    void round();

private:
    struct State {
        bool asked = false;
        bool is_answered = false;
        std::optional<net::Mac> other;  // who answered, if not we
        unsigned unanswered = 0;
        unsigned greetings = 0;  // still to send
    };

    std::vector<net::Address> public_addresses() const;
    std::optional<size_t> rank_of(const net::Address& address) const;  // none: not a candidate
    bool is_announced(const net::Address& address) const;
    void judge(const net::Address& address, State& state);
    // Whether an IPv4 address that everybody may announce is ours; none: there is no such address.
    std::optional<bool> is_ipv4_ours(const std::vector<net::Address>& all) const;
    void follow(const net::Address& address, State& state, std::optional<bool> ipv4);
    void announce(const net::Address& address, State& state);
    void withdraw(const net::Address& address, std::string_view why);
    void ask_some(const std::vector<net::Address>& addresses);

    const std::string node_;
    const net::Mac mac_;
    Tables& tables_;
    kernel::Wire& wire_;
    Candidates candidates_;
    std::map<net::Address, State> states_;
    size_t next_ = 0;
};

}  // namespace weft::agent
