// EndpointSlice (EPS-1..4), Ingress and IngressClass (ING-1..10), and the addresses they share with Service.
#include <set>

#include "apiserver/schema.h"
#include "apiserver/validate_rules.h"
#include "base/strings.h"
#include "net/address.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

const json::Array& array_of(const json::Value& value, json::Path path) {
    static const json::Array none;
    const json::Array* found = json::find_array(value, path);
    return found == nullptr ? none : *found;
}

std::string address_error(const net::Address& address) {
    static const net::Prefix loopback = MUST(net::Prefix::parse("127.0.0.0/8"));
    static const net::Prefix link_local = MUST(net::Prefix::parse("169.254.0.0/16"));
    static const net::Prefix multicast = MUST(net::Prefix::parse("224.0.0.0/4"));
    static const net::Prefix loopback_v6 = MUST(net::Prefix::parse("::1/128"));
    static const net::Prefix link_local_v6 = MUST(net::Prefix::parse("fe80::/10"));
    static const net::Prefix multicast_v6 = MUST(net::Prefix::parse("ff00::/8"));
    if (address.is_unspecified() || address == net::Address{} || address == net::Address::v4(0)) {
        return fmt::format("may not be unspecified ({})", address.text());
    }
    const auto is_in = [&](const net::Prefix& v4, const net::Prefix& v6) {
        return address.is_v4() ? v4.contains(address) : v6.contains(address);
    };
    if (is_in(loopback, loopback_v6)) return "may not be in the loopback range (127.0.0.0/8, ::1/128)";
    if (is_in(link_local, link_local_v6)) return "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
    if (is_in(multicast, multicast_v6)) return "may not be in the multicast range (224.0.0.0/4, ff00::/8)";
    return {};
}

using Texts = std::set<Text>;

Texts addresses_of(Stored slice) {
    Texts texts;
    if (slice == nullptr) return texts;
    for (const json::Value& endpoint : array_of(*slice, {"endpoints"}))
        for (const json::Value& address : array_of(endpoint, {"addresses"}))
            if (address.is_string()) texts.insert(json::view(address.get_string()));
    return texts;
}

// `known`: the addresses that the stored slice has, in whatever form (API-124).
void validate_endpoint(const json::Value& endpoint, Text type, const std::string& where, const Texts& known,
                       FieldErrors& errors) {
    const json::Array& addresses = array_of(endpoint, {"addresses"});
    for (size_t index = 0; index < addresses.size(); index++) {
        const std::string field = field_path(field_path(where, "addresses"), index);
        const Text text = json::view(addresses[index].get_string());
        if (type == "FQDN") {
            expect(subdomain_error(text), field, text, errors);
            continue;
        }
        const auto address = net::Address::parse(text);
        if (!address || address->is_v4() != (type == "IPv4")) {
            errors.push_back(invalid_value(field, text, fmt::format("must be an {} address", type)));
        } else if (address->text() != text && !known.contains(text)) {
            errors.push_back(invalid_value(field, text, fmt::format("must be in canonical form (\"{}\")", address->text())));
        } else {
            validate_endpoint_address(addresses[index], field, errors);
        }
    }
    if (const Text host = json::find_string(endpoint, {"hostname"}); !host.empty()) {
        expect(label_error(host), field_path(where, "hostname"), host, errors);
    }
    if (const Text node = json::find_string(endpoint, {"nodeName"}); !node.empty()) {
        expect(subdomain_error(node), field_path(where, "nodeName"), node, errors);
    }
    if (json::has(endpoint, {"deprecatedTopology"})) {
        errors.push_back(forbidden_field(field_path(where, "deprecatedTopology"), "may not be set"));
    }
    if (const Text zone = json::find_string(endpoint, {"zone"}); !zone.empty()) {
        expect(label_value_error(zone), field_path(where, "zone"), zone, errors);
    }
    for (const Text kind : {Text("forZones"), Text("forNodes")}) {
        std::set<std::string> seen;
        const json::Array& hints = array_of(endpoint, {"hints", kind});
        for (size_t index = 0; index < hints.size(); index++) {
            const std::string field = field_path(field_path(field_path(where, "hints"), kind), index);
            const Text name = json::find_string(hints[index], {"name"});
            if (!seen.emplace(name).second) errors.push_back(duplicate(field_path(field, "name"), name));
            expect(kind == "forZones" ? label_value_error(name) : subdomain_error(name), field_path(field, "name"),
                   name, errors);
        }
    }
}

std::string host_error(Text host) {
    if (net::Address::parse(host)) return "must be a DNS name, not an IP address";
    if (host.starts_with("*.")) return subdomain_error(host.substr(2));
    if (host.find('*') != host.npos) return "a wildcard DNS-1123 subdomain must start with '*.'";
    return subdomain_error(host);
}

void validate_backend(const json::Value& backend, const std::string& where, FieldErrors& errors) {
    const bool has_service = json::has(backend, {"service"});
    const bool has_resource = json::has(backend, {"resource"});
    if (has_service && has_resource) {
        errors.push_back(invalid_value(where, "", "cannot set both resource and service backends"));
        return;
    }
    if (!has_service && !has_resource) {
        errors.push_back(required(where, "must specify a service or resource backend"));
        return;
    }
    if (!has_service) return;
    const std::string service = field_path(where, "service");
    const Text name = json::find_string(backend, {"service", "name"});
    if (name.empty()) {
        errors.push_back(required(field_path(service, "name")));
    } else {
        expect(label_error(name), field_path(service, "name"), name, errors);
    }
    const Text port_name = json::find_string(backend, {"service", "port", "name"});
    const int64_t number = json::find_int(backend, {"service", "port", "number"});
    if (!port_name.empty() && number != 0) {
        errors.push_back(invalid_value(service, "", "cannot set both port name & port number"));
    } else if (!port_name.empty()) {
        expect(port_name_error(port_name), field_path(service, "port.name"), port_name, errors);
    } else if (number == 0) {
        errors.push_back(required(service, "port name or number is required"));
    } else if (number < 1 || number > 65535) {
        errors.push_back(invalid_value(field_path(service, "port.number"), number, port_range_text));
    }
}

void validate_path(const json::Value& rule, const std::string& where, FieldErrors& errors) {
    const Text path = json::find_string(rule, {"path"});
    const Text type = json::find_string(rule, {"pathType"});
    const std::string field = field_path(where, "path");
    if (type == "ImplementationSpecific") {
        if (!path.empty() && path[0] != '/') errors.push_back(invalid_value(field, path, "must be an absolute path"));
        return;
    }
    if (!path.starts_with('/')) {
        errors.push_back(invalid_value(field, path, "must be an absolute path"));
        return;
    }
    for (const Text bad : {"//", "/./", "/../", "%2f", "%2F"}) {
        if (path.find(bad) != path.npos)
            errors.push_back(invalid_value(field, path, fmt::format("must not contain '{}'", bad)));
    }
    for (const Text bad : {"/..", "/."}) {
        if (path.ends_with(bad)) errors.push_back(invalid_value(field, path, fmt::format("cannot end with '{}'", bad)));
    }
}

}  // namespace

void validate_endpoint_address(const json::Value& text, const std::string& field, FieldErrors& errors) {
    if (!text.is_string()) return;
    const auto address = net::Address::parse(json::view(text.get_string()));
    expect(address ? address_error(*address) : "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)", field,
           text, errors);
}

void validate_load_balancer_status(const json::Value& object, FieldErrors& errors) {
    const json::Array& ingress = array_of(object, {"status", "loadBalancer", "ingress"});
    for (size_t index = 0; index < ingress.size(); index++) {
        const std::string where = field_path("status.loadBalancer.ingress", index);
        const Text ip = json::find_string(ingress[index], {"ip"});
        const Text host = json::find_string(ingress[index], {"hostname"});
        if (!ip.empty() && !net::Address::parse(ip)) {
            errors.push_back(invalid_value(field_path(where, "ip"), ip,
                                           "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
        }
        if (ip.empty() && json::has(ingress[index], {"ipMode"})) {
            errors.push_back(forbidden_field(field_path(where, "ipMode"), "may not be specified when `ip` is not set"));
        }
        if (!host.empty()) {
            expect(net::Address::parse(host) ? "must be a DNS name, not an IP address" : subdomain_error(host),
                   field_path(where, "hostname"), host, errors);
        }
    }
}

void validate_endpoint_slice(const json::Value& object, Stored stored, FieldErrors& errors) {
    const Text type = json::find_string(object, {"addressType"});
    const json::Array& endpoints = array_of(object, {"endpoints"});
    const Texts known = addresses_of(stored);
    for (size_t index = 0; index < endpoints.size() && errors.size() < field_errors_max; index++) {
        validate_endpoint(endpoints[index], type, field_path("endpoints", index), known, errors);
    }
    std::set<std::string> names;
    const json::Array& ports = array_of(object, {"ports"});
    for (size_t index = 0; index < ports.size(); index++) {
        const std::string where = field_path("ports", index);
        const Text name = json::find_string(ports[index], {"name"});
        if (!name.empty()) expect(label_error(name), field_path(where, "name"), name, errors);
        if (!names.emplace(name).second) errors.push_back(duplicate(field_path(where, "name"), name));
        if (const Text spoken = json::find_string(ports[index], {"appProtocol"}); !spoken.empty()) {
            expect(qualified_name_error(spoken), field_path(where, "appProtocol"), spoken, errors);
        }
    }
    if (stored != nullptr && json::find_string(*stored, {"addressType"}) != type) {
        errors.push_back(invalid_value("addressType", type, immutable_text));
    }
}

void validate_ingress(const json::Value& object, Stored stored, FieldErrors& errors) {
    static constexpr Text class_annotation = "kubernetes.io/ingress.class";
    const json::Array& rules = array_of(object, {"spec", "rules"});
    const Text class_name = json::find_string(object, {"spec", "ingressClassName"});
    const Text annotated = json::find_string(object, {"metadata", "annotations", class_annotation});
    if (stored == nullptr && !class_name.empty() && !annotated.empty() && class_name != annotated) {
        errors.push_back(invalid_value(key_path("metadata.annotations", class_annotation), annotated,
                                       "can not be set when the class field is also set"));
    }
    if (!class_name.empty()) expect(subdomain_error(class_name), "spec.ingressClassName", class_name, errors);
    const json::Value* fallback = json::find(object, {"spec", "defaultBackend"});
    if (rules.empty() && fallback == nullptr) {
        errors.push_back(
            invalid_value("spec", json::Value(json::Object{}), "either `defaultBackend` or `rules` must be specified"));
    }
    if (fallback != nullptr) validate_backend(*fallback, "spec.defaultBackend", errors);
    const json::Array& tls = array_of(object, {"spec", "tls"});
    for (size_t index = 0; index < tls.size(); index++) {
        const std::string where = field_path("spec.tls", index);
        const std::vector<std::string> hosts = json::find_strings(tls[index], {"hosts"});
        for (size_t at = 0; at < hosts.size(); at++) {
            expect(host_error(hosts[at]), field_path(field_path(where, "hosts"), at), hosts[at], errors);
        }
        if (const Text secret = json::find_string(tls[index], {"secretName"}); !secret.empty()) {
            expect(subdomain_error(secret), field_path(where, "secretName"), secret, errors);
        }
    }
    for (size_t index = 0; index < rules.size(); index++) {
        const std::string where = field_path("spec.rules", index);
        if (const Text host = json::find_string(rules[index], {"host"}); !host.empty()) {
            expect(host_error(host), field_path(where, "host"), host, errors);
        }
        const json::Array& paths = array_of(rules[index], {"http", "paths"});
        if (json::has(rules[index], {"http"}) && paths.empty())
            errors.push_back(required(field_path(where, "http.paths")));
        for (size_t at = 0; at < paths.size(); at++) {
            const std::string path = field_path(field_path(where, "http.paths"), at);
            validate_path(paths[at], path, errors);
            if (const json::Value* backend = json::find(paths[at], {"backend"})) {
                validate_backend(*backend, field_path(path, "backend"), errors);
            }
        }
    }
    validate_load_balancer_status(object, errors);
}

void validate_ingress_class(const json::Value& object, Stored stored, FieldErrors& errors) {
    static constexpr Text path_characters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-._~%!$&'()*+,;=:";
    const Text controller = json::find_string(object, {"spec", "controller"});
    if (controller.empty()) {
        errors.push_back(required("spec.controller"));
    } else if (const size_t slash = controller.find('/');
               slash == controller.npos || slash == 0 || slash + 1 == controller.size()) {
        errors.push_back(
            invalid_value("spec.controller", controller, "must be a domain-prefixed path (such as \"acme.io/foo\")"));
    } else {
        expect(subdomain_error(controller.substr(0, slash)), "spec.controller", controller, errors);
        if (controller.find_first_not_of(path_characters, slash + 1) != controller.npos)
            errors.push_back(invalid_value("spec.controller", controller, "must be a valid path behind the domain"));
    }
    if (stored != nullptr && json::find_string(*stored, {"spec", "controller"}) != controller) {
        errors.push_back(invalid_value("spec.controller", controller, immutable_text));
    }
    if (!json::has(object, {"spec", "parameters"})) return;
    const bool has_namespace = !json::find_string(object, {"spec", "parameters", "namespace"}).empty();
    const bool is_namespaced = json::find_string(object, {"spec", "parameters", "scope"}) == "Namespace";
    if (is_namespaced && !has_namespace) {
        errors.push_back(required("spec.parameters.namespace", "`parameters.scope` is set to 'Namespace'"));
    } else if (!is_namespaced && has_namespace) {
        errors.push_back(forbidden_field("spec.parameters.namespace", "`parameters.scope` is set to 'Cluster'"));
    }
}

}  // namespace weft::apiserver
