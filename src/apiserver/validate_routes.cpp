// RouteTable and VPCPeering: what one object shows by itself (spec/acs.md §1.3, §1.4). Which routes carry packets is the
// controller's to say.
#include "apiserver/schema.h"
#include "apiserver/validate_rules.h"
#include "net/address.h"

namespace weft::apiserver {

void validate_route_table(const json::Value& object, Stored, FieldErrors& errors) {
    const std::string_view vpc = json::find_string(object, {"spec", "vpc"});
    if (!vpc.empty()) expect(subdomain_error(vpc), "spec.vpc", vpc, errors);
    const json::Array* const routes = json::find_array(object, {"spec", "routes"});
    for (size_t index = 0; routes != nullptr && index < routes->size(); index++) {
        const json::Value& route = (*routes)[index];
        const std::string id_field = field_path("spec.routes", index) + ".nextHop.id";
        const std::string_view type = json::find_string(route, {"nextHop", "type"});
        const std::string_view id = json::find_string(route, {"nextHop", "id"});
        if (type == "Blackhole") {
            if (!id.empty()) errors.push_back(forbidden_field(id_field, "a Blackhole leads to nobody"));
        } else if (!type.empty() && id.empty()) {
            errors.push_back(required(id_field, ""));
        }
    }
}

void validate_vpc_peering(const json::Value& object, Stored, FieldErrors& errors) {
    const std::string_view vpc = json::find_string(object, {"spec", "vpc"});
    const std::string_view peer = json::find_string(object, {"spec", "peerVpc"});
    if (!vpc.empty()) expect(subdomain_error(vpc), "spec.vpc", vpc, errors);
    if (!peer.empty()) expect(subdomain_error(peer), "spec.peerVpc", peer, errors);
    if (!vpc.empty() && vpc == peer) errors.push_back(invalid_value("spec.peerVpc", peer, "must name another VPC"));
}

}  // namespace weft::apiserver
