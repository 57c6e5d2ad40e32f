// The rules that a schema cannot say, one function per kind, and the pieces they share. Inside the room only.
//
// Every rule gets the whole object, already of the right types, and the stored one on update (else null).
// Threads: pure. Source: the ids beside each rule.
#pragma once
#include "apiserver/validate.h"

namespace weft::apiserver {

using Stored = const json::Value*;

void validate_metadata(const Kind& kind, const json::Value& metadata, Stored stored, FieldErrors& errors);

void validate_service(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_endpoint_slice(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_endpoints(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_ingress(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_ingress_class(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_pod(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_deployment(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_replica_set(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_stateful_set(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_config_data(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_crd(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_vpc(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_vswitch(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_address_pool(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_security_group(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_route_table(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_vpc_peering(const json::Value& object, Stored stored, FieldErrors& errors);
void validate_pod_networking(const json::Value& object, Stored stored, FieldErrors& errors);

// Kubernetes' word for what is wrong with a text, or "".
std::string label_error(std::string_view text);      // DNS-1123 label
std::string subdomain_error(std::string_view text);  // DNS-1123 subdomain
std::string qualified_name_error(std::string_view text);
std::string label_value_error(std::string_view text);
std::string port_name_error(std::string_view text);  // IANA service name
inline constexpr std::string_view port_range_text = "must be between 1 and 65535, inclusive";
inline constexpr std::string_view immutable_text = "field is immutable";

// Appends Invalid at `field` when `wrong` is not empty.
void expect(std::string wrong, std::string field, const Shown& value, FieldErrors& errors);
void validate_labels(const json::Value* labels, const std::string& field, FieldErrors& errors);
void validate_selector(const json::Value* selector, const std::string& field, FieldErrors& errors);
// An address that a load balancer, an endpoint or a Service may have: canonical, not unspecified, loopback, link-local
// or multicast.
void validate_endpoint_address(const json::Value& text, const std::string& field, FieldErrors& errors);
void validate_load_balancer_status(const json::Value& object, FieldErrors& errors);

}  // namespace weft::apiserver
