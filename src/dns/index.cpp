#include "dns/index.h"

#include "base/strings.h"
#include "cloud/annotations.h"
#include "dns/cluster_name.h"

namespace weft::dns {

namespace {

constexpr unsigned server_offset = 10;  // docs/design/objects.md: reserved addresses of every Service CIDR
constexpr unsigned kubernetes_offset = 1;

std::vector<NamedPort> read_ports(const json::Array& ports) {
    std::vector<NamedPort> read;
    for (const json::Value& port : ports) {
        const int64_t number = json::find_int(port, {"port"});
        if (number < 1 || number > 65535) continue;
        read.push_back({to_lower(json::find_string(port, {"name"})),
                        to_lower(json::find_string(port, {"protocol"}, "TCP")), uint16_t(number)});
    }
    return read;
}

std::vector<net::Address> read_addresses(const std::vector<std::string>& texts) {
    std::vector<net::Address> read;
    for (const std::string& text : texts) {
        if (const Result<net::Address> address = net::Address::parse(text)) read.push_back(*address);
    }
    return read;
}

ServiceRecords read_service(const kube::Object& service) {
    ServiceRecords records;
    const std::string_view cluster_ip = service.string({"spec", "clusterIP"});
    if (service.string({"spec", "type"}) == "ExternalName") {
        records.kind = ServiceRecords::Kind::external_name;
        if (const auto target = dns_wire::Name::parse(service.string({"spec", "externalName"})))
            records.external = *target;
        return records;
    }
    records.ports = read_ports(service.array({"spec", "ports"}));
    if (cluster_ip == "None") {
        records.kind = ServiceRecords::Kind::headless;
        return records;
    }
    records.cluster_ips = read_addresses(json::find_strings(service.body(), {"spec", "clusterIPs"}));
    if (records.cluster_ips.empty()) records.cluster_ips = read_addresses({std::string(cluster_ip)});
    return records;
}

void add_endpoints(ServiceRecords& records, const kube::Object& slice, bool also_unready) {
    const auto ports = std::make_shared<const std::vector<NamedPort>>(read_ports(slice.array({"ports"})));
    for (const json::Value& endpoint : slice.array({"endpoints"})) {
        // No condition means ready (EndpointSlice API).
        if (!also_unready && !json::find_bool(endpoint, {"conditions", "ready"}, true)) continue;
        const std::string hostname = to_lower(json::find_string(endpoint, {"hostname"}));
        for (const net::Address& address : read_addresses(json::find_strings(endpoint, {"addresses"}))) {
            records.endpoints.push_back({hostname.empty() ? dashed(address) : hostname, address, ports});
        }
    }
}

bool is_living(const kube::Object& pod) {
    const std::string_view phase = pod.string({"status", "phase"});
    return phase != "Succeeded" && phase != "Failed";
}

}  // namespace

NamespaceZone build_namespace(std::string_view dns_name, const NamespaceObjects& objects) {
    NamespaceZone zone;
    zone.name = dns_name;
    std::set<std::string, std::less<>> publish_unready;
    for (const kube::ObjectPtr& service : objects.services) {
        const std::string name = to_lower(service->name());
        ServiceRecords records = read_service(*service);
        // A ClusterIP not given yet: the Service has no name before it has an address.
        if (records.kind == ServiceRecords::Kind::cluster_ip && records.cluster_ips.empty()) continue;
        if (service->boolean({"spec", "publishNotReadyAddresses"})) publish_unready.insert(name);
        for (const net::Address& address : records.cluster_ips) zone.reverse.emplace(address, name);
        zone.services.emplace(name, std::move(records));
    }
    for (const kube::ObjectPtr& slice : objects.slices) {
        const auto service = zone.services.find(to_lower(slice->label("kubernetes.io/service-name")));
        if (service == zone.services.end() || service->second.kind != ServiceRecords::Kind::headless) continue;
        add_endpoints(service->second, *slice, publish_unready.contains(service->first));
    }
    for (const auto& [name, records] : zone.services) {
        for (const Endpoint& endpoint : records.endpoints) {
            zone.reverse.emplace(endpoint.address, endpoint.label + "." + name);
        }
    }
    for (const kube::ObjectPtr& pod : objects.pods) {
        if (!is_living(*pod)) continue;
        std::vector<std::string> texts{std::string(pod->string({"status", "podIP"}))};
        for (const json::Value& ip : pod->array({"status", "podIPs"}))
            texts.emplace_back(json::find_string(ip, {"ip"}));
        for (const net::Address& address : read_addresses(texts)) zone.pods.insert(address);
    }
    return zone;
}

std::string dns_name_of(const kube::Object& ns) {
    const std::string_view other = ns.annotation(cloud::dns_namespace_annotation);
    return to_lower(other.empty() ? ns.name() : other);
}

std::string vpc_of(const kube::Object& ns) { return std::string(ns.annotation(cloud::vpc_annotation)); }

std::optional<View> build_view(const kube::Object& vpc) {
    View view;
    view.vpc = vpc.name();
    // A number that is only asked for may be another VPC's.
    const bool is_refused = kube::condition_is(vpc, "Accepted", "False");
    view.vni = uint32_t(vpc.integer({"status", "vni"}, is_refused ? 0 : vpc.integer({"spec", "vni"})));
    const Result<net::Prefix> services = net::Prefix::parse(vpc.string({"spec", "serviceCIDR"}));
    if (view.vni == 0 || !services) return std::nullopt;
    view.server_address = services->address.plus(server_offset);
    view.kubernetes_address = services->address.plus(kubernetes_offset);
    view.own_cidrs = {*services};
    if (const Result<net::Prefix> ipv6 = net::Prefix::parse(vpc.string({"spec", "ipv6ServiceCIDR"}))) {
        view.ipv6_server_address = ipv6->address.plus(server_offset);
    }
    std::vector<std::string> cidrs = json::find_strings(vpc.body(), {"spec", "secondaryCidrBlocks"});
    for (const std::string_view field : {"cidrBlock", "ipv6CidrBlock", "ipv6ServiceCIDR"})
        cidrs.emplace_back(vpc.string({"spec", field}));
    for (const std::string& cidr : cidrs) {
        if (const Result<net::Prefix> prefix = net::Prefix::parse(cidr)) view.own_cidrs.push_back(*prefix);
    }
    return view;
}

void add_namespace(View& view, const std::shared_ptr<const NamespaceZone>& zone) {
    view.namespaces.emplace(zone->name, zone);
}

void add_kubernetes(View& view) {
    const auto found = view.namespaces.find("default");
    if (found != view.namespaces.end() && found->second->services.contains("kubernetes")) return;
    NamespaceZone zone;
    if (found != view.namespaces.end()) zone = *found->second;
    zone.name = "default";
    ServiceRecords records;
    records.cluster_ips = {view.kubernetes_address};
    records.ports = {{"https", "tcp", 443}};
    zone.reverse.emplace(records.cluster_ips.front(), "kubernetes");
    zone.services.emplace("kubernetes", std::move(records));
    view.namespaces["default"] = std::make_shared<const NamespaceZone>(std::move(zone));
}

}  // namespace weft::dns
