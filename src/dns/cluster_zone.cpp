#include "dns/cluster_zone.h"

#include <algorithm>
#include <unordered_set>

#include "dns/cluster_name.h"

namespace weft::dns {

namespace {

using dns_wire::Name;
using dns_wire::Rcode;
using dns_wire::Record;
using dns_wire::Type;

// What stands at one name. `exists` without records is NODATA.
struct Found {
    bool exists = false;
    std::vector<Record> records;
    std::vector<Record> additionals;
    std::optional<Name> alias;  // the name is a CNAME to this
};

void shuffle(std::vector<Record>& records, Rng& rng) {
    for (size_t i = records.size(); i > 1; --i) std::swap(records[i - 1], records[rng.below(i)]);
}

class Zone {
public:
    explicit Zone(const Request& request)
        : request_(request), view_(*request.view), zone_(request.settings.zone), ttl_s_(request.settings.ttl_s) {}

    Found look_up(const Name& name, Type type) const {
        using Kind = ClusterName::Kind;
        const std::optional<ClusterName> parsed = parse_cluster_name(name, zone_);
        if (!parsed) return {};
        switch (parsed->kind) {
            case Kind::none: return {};
            case Kind::apex: return apex(name, type);
            case Kind::version: return version(name, type);
            case Kind::name_server: return addresses(name, type, servers());
            case Kind::dns:
            case Kind::svc:
            case Kind::pod: return {true};
            case Kind::svc_namespace:
            case Kind::pod_namespace: return {view_.namespaces.contains(parsed->ns)};
            case Kind::pod_address: return pod(name, type, *parsed);
            default: return service(name, type, *parsed);
        }
    }

    Record soa() const { return soa(zone_); }

    // Of another zone of ours, with this one's servers.
    Record soa(const Name& owner) const {
        const Name primary = below("ns", "dns");
        const dns_wire::Soa soa{primary, below("hostmaster"), request_.snapshot.serial, 7200, 1800, 86400, ttl_s_};
        return dns_wire::soa_record(owner, ttl_s_, soa);
    }

    // PTR targets of an address.
    std::vector<Record> reverse(const Name& name, const net::Address& address) const {
        std::vector<Record> records;
        for (const auto& [ns, zone] : view_.namespaces) {
            auto it = zone->reverse.lower_bound({address, ""});
            for (; it != zone->reverse.end() && it->first == address; ++it) {
                const Result<Name> owner = Name::parse(it->second + "." + ns + ".svc." + zone_.text());
                if (owner) records.push_back(dns_wire::name_record(name, ttl_s_, Type::ptr, *owner));
            }
        }
        return records;
    }

private:
    // "ns.dns" and the like; the zone is short enough for them.
    Name below(std::string_view first, std::string_view second = {}) const {
        const Name base = second.empty() ? zone_ : zone_.child(second).value_or(zone_);
        return base.child(first).value_or(base);
    }

    std::vector<net::Address> servers() const {
        std::vector<net::Address> all{view_.server_address};
        if (view_.ipv6_server_address) all.push_back(*view_.ipv6_server_address);
        return all;
    }

    Found apex(const Name& name, Type type) const {
        Found found{true};
        const Name server = below("ns", "dns");
        if (type == Type::soa) found.records = {soa()};
        if (type == Type::ns) {
            found.records = {dns_wire::name_record(name, ttl_s_, Type::ns, server)};
            for (const net::Address& address : servers())
                found.additionals.push_back(dns_wire::a_record(server, ttl_s_, address));
        }
        return found;
    }

    static Found version(const Name& name, Type type) {
        Found found{true};
        if (type == Type::txt) found.records = {dns_wire::txt_record(name, version_ttl_s, schema_version)};
        return found;
    }

    // Those of the family that `type` asks for, each once, in random order.
    Found addresses(const Name& name, Type type, const std::vector<net::Address>& all) const {
        Found found{!all.empty()};
        std::unordered_set<net::Address> seen;
        for (const net::Address& address : all) {
            const bool wanted = type == (address.is_v4() ? Type::a : Type::aaaa);
            if (wanted && seen.insert(address).second)
                found.records.push_back(dns_wire::a_record(name, ttl_s_, address));
        }
        shuffle(found.records, request_.rng);
        if (found.records.size() > addresses_per_answer_max) found.records.resize(addresses_per_answer_max);
        return found;
    }

    Found pod(const Name& name, Type type, const ClusterName& parsed) const {
        const auto zone = view_.namespaces.find(parsed.ns);
        const std::optional<net::Address> address = parse_dashed(parsed.label);
        if (zone == view_.namespaces.end() || !address || !zone->second->pods.contains(*address)) return {};
        return addresses(name, type, {*address});
    }

    Found service(const Name& name, Type type, const ClusterName& parsed) const {
        using Kind = ClusterName::Kind;
        const auto zone = view_.namespaces.find(parsed.ns);
        if (zone == view_.namespaces.end()) return {};
        const auto it = zone->second->services.find(parsed.service);
        if (it == zone->second->services.end()) return {};
        const ServiceRecords& records = it->second;
        if (records.kind == ServiceRecords::Kind::external_name) {
            Found found;
            if (parsed.kind == Kind::service) found = {true, {}, {}, records.external};
            return found;
        }
        if (parsed.kind == Kind::endpoint) return endpoint(name, type, records, parsed.label);
        if (parsed.kind == Kind::protocol) return {has_port(records, parsed.protocol)};
        const Name owner = parsed.kind == Kind::port ? name.parent(2) : name;
        const Found ports = srv(name, owner, records, parsed);
        if (parsed.kind == Kind::port) return ports.records.empty() || type == Type::srv ? ports : Found{true};
        if (type == Type::srv && !ports.records.empty()) return ports;
        if (records.kind == ServiceRecords::Kind::cluster_ip) return addresses(name, type, records.cluster_ips);
        return endpoint(name, type, records, "");
    }

    // label "": all endpoints.
    Found endpoint(const Name& name, Type type, const ServiceRecords& records, std::string_view label) const {
        std::vector<net::Address> matching;
        for (const Endpoint& endpoint : records.endpoints) {
            if (label.empty() || endpoint.label == label) matching.push_back(endpoint.address);
        }
        return addresses(name, type, matching);
    }

    static bool has_port(const ServiceRecords& records, std::string_view protocol) {
        const auto matches = [&](const NamedPort& port) { return port.protocol == protocol && !port.name.empty(); };
        if (records.kind == ServiceRecords::Kind::cluster_ip) {
            return std::any_of(records.ports.begin(), records.ports.end(), matches);
        }
        return std::any_of(records.endpoints.begin(), records.endpoints.end(), [&](const Endpoint& endpoint) {
            return std::any_of(endpoint.ports->begin(), endpoint.ports->end(), matches);
        });
    }

    // Of one named port, or of every port when the name says none (DNS-6). `owner` is the Service's own name.
    Found srv(const Name& name, const Name& owner, const ServiceRecords& records, const ClusterName& parsed) const {
        const auto wanted = [&](const NamedPort& port) {
            return parsed.kind != ClusterName::Kind::port ||
                   (port.protocol == parsed.protocol && port.name == parsed.port);
        };
        struct Target {
            Name name;
            uint16_t port;
        };
        std::vector<Target> targets;
        Found found;
        const auto add = [&](const Name& target, uint16_t port, const std::vector<net::Address>& at) {
            const bool twice = std::any_of(targets.begin(), targets.end(),
                                           [&](const Target& t) { return t.port == port && t.name == target; });
            if (!twice && targets.size() < srv_per_answer_max) targets.push_back({target, port});
            for (const net::Address& address : at) {
                Record record = dns_wire::a_record(target, ttl_s_, address);
                const bool known =
                    std::find(found.additionals.begin(), found.additionals.end(), record) != found.additionals.end();
                if (!known && found.additionals.size() < srv_per_answer_max)
                    found.additionals.push_back(std::move(record));
            }
        };
        if (records.kind == ServiceRecords::Kind::cluster_ip) {
            for (const NamedPort& port : records.ports) {
                if (wanted(port)) add(owner, port.port, records.cluster_ips);
            }
        }
        for (const Endpoint& endpoint : records.endpoints) {
            const std::optional<Name> target = owner.child(endpoint.label);
            for (const NamedPort& port : *endpoint.ports) {
                if (target && wanted(port)) add(*target, port.port, {endpoint.address});
            }
        }
        const auto weight = uint16_t(std::max<size_t>(1, targets.empty() ? 0 : 100 / targets.size()));
        for (const Target& target : targets) {
            found.records.push_back(dns_wire::srv_record(name, ttl_s_, 0, weight, target.port, target.name));
        }
        shuffle(found.records, request_.rng);
        found.exists = !found.records.empty();
        return found;
    }

    const Request& request_;
    const View& view_;
    const Name& zone_;
    const uint32_t ttl_s_;
};

// Follows CNAMEs through our own zone; a target outside of it is the upstream's business.
Verdict answer_forward_name(const Request& request, Answer& answer) {
    const Zone zone(request);
    const Type type = request.question.type;
    const bool chase = type == Type::a || type == Type::aaaa;
    Name name = request.question.name;
    answer.authoritative = true;
    for (unsigned hops = 0; hops <= cname_chain_max; ++hops) {
        Found found = zone.look_up(name, type);
        if (found.alias) {
            answer.answers.push_back(dns_wire::name_record(name, request.settings.ttl_s, Type::cname, *found.alias));
            if (!chase) return Verdict::answered;
            name = *found.alias;
            if (name.is_within(request.settings.zone)) continue;
            if (!request.settings.forwarding) return Verdict::answered;
            answer.upstream = {name, type, dns_wire::Class::in};
            return Verdict::forward;
        }
        if (found.exists && type == Type::any) {
            answer.answers.push_back(dns_wire::hinfo_record(name, request.settings.ttl_s, "RFC8482", ""));
            return Verdict::answered;
        }
        if (!found.exists) answer.rcode = Rcode::nx_domain;
        if (found.records.empty()) {
            answer.authorities = {zone.soa()};
            return Verdict::answered;
        }
        answer.answers.insert(answer.answers.end(), found.records.begin(), found.records.end());
        answer.additionals = std::move(found.additionals);
        return Verdict::answered;
    }
    answer = {};
    answer.rcode = Rcode::serv_fail;  // a loop
    return Verdict::answered;
}

// The zone that a name of one of the VPC's own addresses stands in: the CIDR's, or where that ends inside of a label,
// the next smaller one's. nullopt: the name is of somebody else's address.
std::optional<Name> own_reverse_zone(const View& view, const Name& name) {
    const std::optional<net::Prefix> asked = parse_reverse_zone(name);
    if (!asked) return std::nullopt;
    for (const net::Prefix& own : view.own_cidrs) {
        if (!own.contains(*asked)) continue;
        const unsigned label_bits = own.is_v4() ? 8 : 4;
        const size_t labels = (own.length() + label_bits - 1) / label_bits + 2;
        return name.parent(name.label_count() - std::min(labels, name.label_count()));
    }
    return std::nullopt;
}

}  // namespace

Verdict answer_cluster_zone(const Request& request, Answer& answer) {
    const Name& name = request.question.name;
    const bool reverse = is_reverse_name(name);
    if (!reverse && !name.is_within(request.settings.zone)) return Verdict::pass;
    if (!request.snapshot.synced || request.view == nullptr) {
        answer.rcode = Rcode::serv_fail;
        return Verdict::answered;
    }
    if (!reverse) return answer_forward_name(request, answer);

    const std::optional<net::Address> address = parse_reverse_name(name);
    const Zone zone(request);
    std::vector<Record> records = address ? zone.reverse(name, *address) : std::vector<Record>{};
    if (records.empty()) {
        const std::optional<Name> own = own_reverse_zone(*request.view, name);
        if (!own) return Verdict::pass;
        // An address nobody has does not exist; above the addresses stand names that do.
        if (address) answer.rcode = Rcode::nx_domain;
        answer.authoritative = true;
        answer.authorities = {zone.soa(*own)};
        return Verdict::answered;
    }
    answer.authoritative = true;
    if (request.question.type == Type::ptr || request.question.type == Type::any) {
        answer.answers = std::move(records);
    } else {
        answer.authorities = {zone.soa()};
    }
    return Verdict::answered;
}

}  // namespace weft::dns
