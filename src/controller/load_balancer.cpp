// LoadBalancer Services: a public address from a pool, the finalizer before anything is made, the instance's id as a
// label, status last; and the same backwards when the Service goes or stops being one of ours.
//
// Order of making: finalizer → address in the pool's ledger → label → status. Of ending: status → ledger → label and
// finalizer. What cannot be made is tried again after 5 s, doubling to 300 s, and whenever something it waits for
// changes. A port of a protocol that no balancer carries is shown with its error; the others are served.
#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "base/log.h"
#include "cloud/annotations.h"
#include "controller/pools.h"
#include "controller/reconcilers.h"
#include "controller/slices.h"
#include "net/address.h"

namespace weft::controller {
namespace {

using kube::Object;
using kube::ObjectKey;
using kube::ObjectPtr;
using kube::Outcome;

constexpr Duration retry_first = std::chrono::seconds(5), retry_max = std::chrono::seconds(300);
constexpr std::string_view ports_error = "LoadBalancerPortsError";
constexpr size_t id_digits = 20;
constexpr std::string_view our_class = "weft.dev/load-balancer";  // as good as none, which is ours too
constexpr std::string_view foreign_class_annotation = "service.beta.kubernetes.io/class";
constexpr std::string_view foreign_tunnel_annotation =
    "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-tunnel-type";
constexpr std::string_view prefix = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-";
constexpr std::string_view old_prefix = "service.beta.kubernetes.io/alicloud-loadbalancer-";

// The new spelling wins over the old one.
std::string_view setting(const Object& service, std::string_view name) {
    const std::string_view value = service.annotation(std::string(prefix) + std::string(name));
    return !value.empty() ? value : service.annotation(std::string(old_prefix) + std::string(name));
}

bool is_ours(const Object& service) {
    const std::string_view chosen = service.string({"spec", "loadBalancerClass"});
    return !service.deleting() && service.string({"spec", "type"}) == "LoadBalancer" &&
           (chosen.empty() || chosen == our_class) &&
           service.annotation(foreign_class_annotation).empty() &&
           service.annotation(foreign_tunnel_annotation).empty();
}

std::string instance_id(const Object& service) {
    std::string id = "lb-";
    for (const char c : service.uid()) {
        if (c != '-' && id.size() < 3 + id_digits) id += c;
    }
    return id;
}

std::vector<std::string> shown_addresses(const Object& service) {
    std::vector<std::string> addresses;
    for (const json::Value& entry : service.array({"status", "loadBalancer", "ingress"})) {
        if (const std::string_view ip = json::find_string(entry, {"ip"}); !ip.empty()) addresses.emplace_back(ip);
    }
    return addresses;
}

bool is_ipv6(std::string_view address) { return address.find(':') != std::string_view::npos; }

std::string shown_address(const Object& service, bool ipv6) {
    for (const std::string& address : shown_addresses(service)) {
        if (is_ipv6(address) == ipv6) return address;
    }
    return "";
}

// Those the Service has, the primary first.
std::vector<std::string> families_of(const Object& service) {
    auto families = json::find_strings(service.body(), {"spec", "ipFamilies"});
    if (families.empty()) families.emplace_back("IPv4");
    return families;
}

// What the annotations ask for that this controller cannot give is said, not ignored.
Status check_settings(const Object& service) {
    const auto field = [](std::string_view name) { return fmt::format("metadata.annotations[{}{}]", prefix, name); };
    const std::string_view type = setting(service, "address-type");
    if (!type.empty() && type != "internet" && type != "intranet")
        return fail(Code::invalid, fmt::format("{}: {}: must be internet or intranet", field("address-type"), type));
    if (type == "intranet") return fail(Code::invalid, field("address-type") + ": intranet is not offered");
    if (!setting(service, "id").empty())
        return fail(Code::invalid, field("id") + ": existing instances cannot be used");
    const std::string_view version = setting(service, "ip-version");
    if (!version.empty() && version != "ipv4")
        return fail(Code::invalid, fmt::format("{}: {}: must be ipv4", field("ip-version"), version));
    return {};
}

// One of each family. A Service that only prefers two goes without the second where no pool has it.
Result<std::vector<std::string>> addresses_for(World& world, const Object& service) {
    TRY(check_settings(service));
    const cloud::Vpc vpc = TRY(world.vpc_of(service.ns()));
    std::vector<std::string> addresses;
    for (const std::string& family : families_of(service)) {
        const bool ipv6 = family == "IPv6";
        const auto address = allocate_public_address(
            world, {"Service", std::string(service.ns()), std::string(service.name()), std::string(service.uid()),
                    vpc.name, shown_address(service, ipv6), ipv6});
        const bool is_extra = !addresses.empty() && service.string({"spec", "ipFamilyPolicy"}) == "PreferDualStack";
        if (!address && is_extra && address.error().code == Code::exhausted) {
            world.events.normal(service, "SecondFamilyUnavailable", address.error().message);
            continue;
        }
        addresses.push_back(TRY(address).text());
    }
    return addresses;
}

// What a family had that the Service no longer has.
Status release_old_families(World& world, const Object& service) {
    const auto families = families_of(service);
    for (const bool ipv6 : {false, true}) {
        const bool stays = std::find(families.begin(), families.end(), ipv6 ? "IPv6" : "IPv4") != families.end();
        if (!stays) TRY(release_public_address(world, "Service", service.uid(), ipv6));
    }
    return {};
}

Status set_label(World& world, const Object& service, const std::string& id) {
    if (service.label(cloud::load_balancer_id_label) == id) return {};
    Object next = service;
    next.set_label(cloud::load_balancer_id_label, id);
    return world.services.put(service, next);
}

// How often in a row each Service could not be served.
class Failures {
public:
    Duration next_retry(const ObjectKey& key) {
        const unsigned before = count_[key]++;
        return std::min<Duration>(retry_max, retry_first * (1u << std::min(before, 10u)));
    }
    void forget(const ObjectKey& key) { count_.erase(key); }

private:
    std::map<ObjectKey, unsigned> count_;
};

// The ports that no balancer can carry.
std::vector<std::string> unserved_ports(const Object& service) {
    std::vector<std::string> ports;
    for (const json::Value& port : service.array({"spec", "ports"})) {
        const std::string_view protocol = json::find_string(port, {"protocol"}, "TCP");
        if (!net::parse_protocol(protocol))
            ports.push_back(fmt::format("{}/{}", json::find_int(port, {"port"}), protocol));
    }
    return ports;
}

// The ports are listed only when one of them has an error.
json::Array wanted_ingress(const Object& service, const std::vector<std::string>& addresses) {
    json::Array ports;
    for (const json::Value& port : service.array({"spec", "ports"})) {
        const std::string_view protocol = json::find_string(port, {"protocol"}, "TCP");
        json::Object entry{{"port", json::find_int(port, {"port"})}, {"protocol", protocol}};
        if (!net::parse_protocol(protocol)) entry["error"] = "ProtocolNotSupported";
        ports.push_back(std::move(entry));
    }
    json::Array ingress;
    for (const std::string& address : addresses) {
        json::Object entry{{"ip", address}, {"ipMode", "VIP"}};
        if (!unserved_ports(service).empty()) entry["ports"] = ports;
        ingress.push_back(std::move(entry));
    }
    return ingress;
}

void set_ports_error(World& world, Object& service) {
    const auto unserved = unserved_ports(service);
    if (unserved.empty() && kube::find_condition(service, ports_error) == nullptr) return;
    kube::set_condition(service, ports_error, !unserved.empty(), unserved.empty() ? "Served" : "ProtocolNotSupported",
                        unserved.empty() ? "" : "not served: " + name_list(unserved), world.clock);
}

Outcome ensure(World& world, const ObjectPtr& service, Failures& failures) {
    const std::string id = instance_id(*service);
    if (!service->has_finalizer(cloud::load_balancer_finalizer)) {
        world.events.normal(*service, "EnsuringLoadBalancer", "Ensuring load balancer");
        Object next = *service;
        next.add_finalizer(cloud::load_balancer_finalizer);
        return settle(world.services.put(*service, next));  // the change brings us back here
    }
    const auto addresses = addresses_for(world, *service);
    if (!addresses) {
        if (addresses.error().code == Code::conflict) return settle(fail(addresses.error()));
        world.events.warning(*service, "SyncLoadBalancerFailed",
                             fmt::format("Error syncing load balancer [{}]: {}", id, addresses.error().message));
        return Outcome::again(failures.next_retry(service->key()));
    }
    failures.forget(service->key());
    const Status labelled = set_label(world, *service, id);
    if (!labelled) return settle(labelled);
    const ObjectPtr current = world.services.get(service->key());
    if (!current) return Outcome::done();
    json::Array ingress = wanted_ingress(*current, *addresses);
    const json::Array shown_before = current->array({"status", "loadBalancer", "ingress"});
    if (shown_before == ingress) return settle(release_old_families(world, *current));
    Object next = *current;
    next.set({"status", "loadBalancer", "ingress"}, std::move(ingress));
    set_ports_error(world, next);
    Status shown = world.services.put_status(*current, next);
    if (shown) shown = release_old_families(world, *current);
    if (!shown) return settle(shown);
    if (shown_before.empty())
        world.events.normal(*current, "EnsuredLoadBalancer", fmt::format("Ensured load balancer [{}]", id));
    else
        world.events.normal(*current, "UpdatedLoadBalancer", fmt::format("Updated load balancer [{}]", id));
    return Outcome::done();
}

Outcome clean_up(World& world, const ObjectPtr& service) {
    if (!service->has_finalizer(cloud::load_balancer_finalizer)) return Outcome::done();
    if (!service->array({"status", "loadBalancer", "ingress"}).empty()) {
        world.events.normal(*service, "DeletingLoadBalancer", "Deleting load balancer");
        Object next = *service;
        next.set({"status", "loadBalancer"}, json::Object{});
        return settle(world.services.put_status(*service, next));  // the change brings us back here
    }
    const Status released = release_public_address(world, "Service", service->uid());
    if (!released) return settle(released);
    Object next = *service;
    next.remove_finalizer(cloud::load_balancer_finalizer);
    json::erase(next.body(), {"metadata", "labels", cloud::load_balancer_id_label});
    const Status done = world.services.put(*service, next);
    if (!done) return settle(done);
    world.events.normal(*service, "CleanLoadBalancer", "Clean load balancer");
    world.events.normal(*service, "DeletedLoadBalancer",
                        fmt::format("Deleted load balancer [{}]", instance_id(*service)));
    return Outcome::done();
}

bool has_ready_endpoint(const Object& slice) {
    for (const json::Value& endpoint : slice.array({"endpoints"})) {
        if (json::find_bool(endpoint, {"conditions", "ready"}, true)) return true;
    }
    return false;
}

// The listener stays; new connections are refused until a pod is ready again.
void tell_without_backends(World& world, const ObjectKey& key) {
    const ObjectPtr service = world.services.get(key);
    if (!service || shown_addresses(*service).empty()) return;
    bool serves = false;
    world.endpoint_slices.for_each_in(key.ns, [&](const ObjectPtr& slice) {
        serves = serves || (slice->label(service_name_label) == key.name && has_ready_endpoint(*slice));
    });
    if (!serves)
        world.events.warning(
            *service, "UnAvailableLoadBalancer",
            fmt::format("There are no available backends for load balancer [{}]", instance_id(*service)));
}

}  // namespace

void add_load_balancer_reconciler(World& world) {
    auto failures = std::make_shared<Failures>();
    auto& queue = world.brain.add_reconciler("load_balancer", [&world, failures](const ObjectKey& key) {
        const ObjectPtr service = world.services.get(key);
        if (service && is_ours(*service)) return ensure(world, service, *failures);
        failures->forget(key);
        return service ? clean_up(world, service) : Outcome::done();
    });
    world.services.on_change([&queue](const ObjectPtr&, const ObjectPtr& after) {
        if (after) queue.add(after->key());
    });
    const auto waiting = [&world, &queue](const ObjectPtr&, const ObjectPtr&) {
        for (const ObjectPtr& service : world.services.under(world.balanced_services, "")) {
            if (is_ours(*service) && shown_addresses(*service).size() < families_of(*service).size())
                queue.add(service->key());
        }
    };
    world.address_pools.on_change(waiting);
    world.vpcs.on_change(waiting);
    world.endpoint_slices.on_change([&world](const ObjectPtr& before, const ObjectPtr& after) {
        if (!before || !has_ready_endpoint(*before) || (after && has_ready_endpoint(*after))) return;
        tell_without_backends(world, {std::string(before->ns()), std::string(before->label(service_name_label))});
    });
}

}  // namespace weft::controller
