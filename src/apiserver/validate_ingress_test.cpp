// Rules of Ingress and IngressClass that look at more than one field, or at what was stored before.
#include "apiserver/kinds_testing.h"

namespace weft::apiserver {
namespace {

// The spec of an Ingress with a default backend and `more`; `annotations` as a flow mapping.
std::string ingress(std::string_view more, std::string_view annotations = "{}") {
    return fmt::format(
        "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: i, namespace: a, annotations: {}}}, spec: "
        "{{defaultBackend: {{service: {{name: s, port: {{number: 80}}}}}}{}{}}}}}",
        annotations, more.empty() ? "" : ", ", more);
}

std::string ingress_class(std::string_view spec) {
    return fmt::format("{{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {{name: c}}, spec: {}}}", spec);
}

struct Case {
    std::string_view spec, expected;  // expected: a part of the errors, "" = valid
};

template <class Frame>
void check(const Frame& frame, std::initializer_list<Case> cases) {
    for (const auto& [spec, expected] : cases) {
        const std::string errors = create_errors(frame(spec));
        if (expected.empty()) {
            EXPECT_EQ(errors, "") << spec;
        } else {
            EXPECT_NE(errors.find(expected), std::string::npos) << spec << "\n" << errors;
        }
    }
}

TEST(ValidateIngress, ING_6_tls_names_hosts_and_secrets_that_can_exist) {
    check([](std::string_view tls) { return ingress(fmt::format("tls: [{}]", tls)); },
          {{"{hosts: [a.example, '*.b.example'], secretName: cert.of-a}", ""},
           {"{hosts: [a.example]}", ""},
           {"{secretName: ''}", ""},
           {"{}", ""},
           {"{hosts: [10.0.0.1]}",
            "spec.tls[0].hosts[0]: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address"},
           {"{hosts: [a.example, 'b.example:443']}", "spec.tls[0].hosts[1]: Invalid value: \"b.example:443\""},
           {"{hosts: ['a.*.example']}",
            "spec.tls[0].hosts[0]: Invalid value: \"a.*.example\": a wildcard DNS-1123 subdomain must start with '*.'"},
           {"{hosts: ['']}", "spec.tls[0].hosts[0]: Invalid value: \"\""},
           {"{secretName: Not_A_Name}", "spec.tls[0].secretName: Invalid value: \"Not_A_Name\""}});
}

TEST(ValidateIngress, ING_7_a_new_one_says_its_class_once_or_twice_the_same) {
    const std::string both = "metadata.annotations[kubernetes.io/ingress.class]: Invalid value: \"nginx\": can not be set "
                             "when the class field is also set";
    EXPECT_EQ(create_errors(ingress("", "{kubernetes.io/ingress.class: nginx}")), "");
    EXPECT_EQ(create_errors(ingress("ingressClassName: nginx", "{kubernetes.io/ingress.class: nginx}")), "");
    const std::string two = ingress("ingressClassName: weft", "{kubernetes.io/ingress.class: nginx}");
    EXPECT_NE(create_errors(two).find(both), std::string::npos) << create_errors(two);
    // One that was stored before the rule may be written again.
    const json::Value stored = taken(two);
    EXPECT_EQ(lines(validate_update(kind_of(stored), stored, stored, Part::main)), "");
}

TEST(ValidateIngress, ING_9_its_status_shows_addresses_and_names_and_does_not_mix_them) {
    const json::Value stored = taken(ingress(""));
    const auto errors_of = [&](std::string_view entry) {
        json::Value wish = stored;
        json::set(wish, {"status", "loadBalancer", "ingress"}, json::Array{yaml(entry)});
        return lines(validate_update(kind_of(wish), wish, stored, Part::status));
    };
    EXPECT_EQ(errors_of("{ip: 203.0.113.7}"), "");
    EXPECT_EQ(errors_of("{ip: '2001:db8::7'}"), "");
    EXPECT_EQ(errors_of("{hostname: lb.example.test}"), "");
    EXPECT_NE(errors_of("{ip: 203.0.113.700}")
                  .find("status.loadBalancer.ingress[0].ip: Invalid value: \"203.0.113.700\": must be a valid IP address"),
              std::string::npos);
    EXPECT_NE(errors_of("{ip: lb.example.test}").find("status.loadBalancer.ingress[0].ip: Invalid value"),
              std::string::npos);
    EXPECT_NE(errors_of("{hostname: 203.0.113.7}")
                  .find("status.loadBalancer.ingress[0].hostname: Invalid value: \"203.0.113.7\": must be a DNS name, not "
                        "an IP address"),
              std::string::npos);
    EXPECT_NE(errors_of("{hostname: no_name}").find("status.loadBalancer.ingress[0].hostname: Invalid value"),
              std::string::npos);
}

TEST(ValidateIngress, ING_10_a_class_has_a_controller_for_good_and_parameters_of_one_scope) {
    const std::string longest = "acme.io/" + std::string(250 - 8, 'x');
    check(ingress_class,
          {{"{controller: weft.dev/ingress}", ""},
           {fmt::format("{{controller: {}}}", longest), ""},
           {fmt::format("{{controller: {}x}}", longest), "spec.controller: Too long"},
           {"{}", "spec.controller: Required value"},
           {"{controller: weft}", "must be a domain-prefixed path (such as \"acme.io/foo\")"},
           {"{controller: acme.io/}", "must be a domain-prefixed path"},
           {"{controller: /foo}", "must be a domain-prefixed path"},
           {"{controller: Acme_io/foo}", "spec.controller: Invalid value: \"Acme_io/foo\""},
           {"{controller: 'acme.io/a b'}", "must be a valid path behind the domain"},
           {"{controller: a.io/b, parameters: {kind: K, name: n}}", ""},
           {"{controller: a.io/b, parameters: {kind: K, name: n, scope: Cluster}}", ""},
           {"{controller: a.io/b, parameters: {kind: K, name: n, scope: Namespace, namespace: x}}", ""},
           {"{controller: a.io/b, parameters: {kind: K, name: n, scope: Namespace}}",
            "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"},
           {"{controller: a.io/b, parameters: {kind: K, name: n, scope: Cluster, namespace: x}}",
            "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"},
           {"{controller: a.io/b, parameters: {kind: K, name: n, namespace: x}}",
            "spec.parameters.namespace: Forbidden"},
           {"{controller: a.io/b, parameters: {kind: K, name: n, scope: World}}",
            "spec.parameters.scope: Unsupported value: \"World\""},
           {"{controller: a.io/b, parameters: {name: n}}", "spec.parameters.kind: Required value"},
           {"{controller: a.io/b, parameters: {kind: K}}", "spec.parameters.name: Required value"}});
    const json::Value stored = taken(ingress_class("{controller: a.io/b}"));
    const json::Value wish = taken(ingress_class("{controller: a.io/c}"));
    EXPECT_EQ(lines(validate_update(kind_of(wish), wish, stored, Part::main)),
              "spec.controller: Invalid value: \"a.io/c\": field is immutable\n");
}

}  // namespace
}  // namespace weft::apiserver
