#include "apiserver/service_families.h"

#include "apiserver/schema.h"
#include "apiserver/validate_rules.h"
#include "net/address.h"

namespace weft::apiserver {

namespace {

using Text = std::string_view;

constexpr Text ipv4 = "IPv4", ipv6 = "IPv6";

using Texts = std::vector<std::string>;

Texts addresses_of(const json::Value& spec) { return json::find_strings(spec, {"clusterIPs"}); }
Texts families_of(const json::Value& spec) { return json::find_strings(spec, {"ipFamilies"}); }
Text policy_of(const json::Value& spec) { return json::find_string(spec, {"ipFamilyPolicy"}); }

bool is_dual(Text policy) { return policy == "PreferDualStack" || policy == "RequireDualStack"; }
bool is_headless(const json::Value& spec) { return json::find_string(spec, {"clusterIP"}) == "None"; }

bool has_selector(const json::Value& spec) {
    const json::Object* selector = json::find_object(spec, {"selector"});
    return selector != nullptr && !selector->empty();
}

json::Value list_of(const Texts& texts) {
    json::Array list;
    for (const std::string& text : texts) list.push_back(json::Value(text));
    return list;
}

std::string other_family(Text family) { return std::string(family == ipv4 ? ipv6 : ipv4); }

// SVC-63, once the policy stands.
void refuse_two_of_one(const json::Value& spec, const Texts& families, FieldErrors& errors) {
    if (policy_of(spec) != "SingleStack" || (addresses_of(spec).size() < 2 && families.size() < 2)) return;
    errors.push_back(
        invalid_value("spec.ipFamilyPolicy", policy_of(spec),
                      "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified"));
}

// SVC-62: an address given speaks for its family.
void infer_families(const json::Value& spec, bool offers_ipv6, Texts& families, FieldErrors& errors) {
    const Texts addresses = addresses_of(spec);
    for (size_t index = families.size(); index < addresses.size(); index++) {
        const auto address = net::Address::parse(addresses[index]);
        if (!address) return;  // None
        if (!address->is_v4() && !offers_ipv6) {
            errors.push_back(invalid_value(field_path("spec.clusterIPs", index), list_of(addresses),
                                           "IPv6 is not configured on this cluster"));
            return;
        }
        families.emplace_back(address->is_v4() ? ipv4 : ipv6);
    }
}

// SVC-64, SVC-65.
void refuse_what_is_not_offered(const json::Value& spec, const Texts& families, FieldErrors& errors) {
    if (policy_of(spec) == "RequireDualStack") {
        errors.push_back(invalid_value("spec.ipFamilyPolicy", policy_of(spec),
                                       "this cluster is not configured for dual-stack services"));
    }
    for (size_t index = 0; index < families.size(); index++) {
        if (families[index] != ipv6) continue;
        errors.push_back(
            invalid_value(field_path("spec.ipFamilies", index), families[index], "not configured on this cluster"));
    }
}

bool is_unchanged(const json::Value& spec, const json::Value& before) {
    return policy_of(spec) == policy_of(before) && families_of(spec) == families_of(before) &&
           addresses_of(spec) == addresses_of(before);
}

}  // namespace

void drop_second_family(json::Value& spec, const json::Value& before) {
    if (!is_dual(policy_of(before)) || policy_of(spec) != "SingleStack") return;
    for (const Text field : {Text("clusterIPs"), Text("ipFamilies")}) {
        const Texts now = json::find_strings(spec, {field});
        if (now.size() == 2 && now == json::find_strings(before, {field}))
            json::set(spec, {field}, list_of({now[0]}));
    }
}

FieldErrors settle_families(json::Value& spec, const json::Value* before, bool offers_ipv6) {
    FieldErrors errors;
    const bool is_free = is_headless(spec) && !has_selector(spec);
    if (policy_of(spec).empty()) json::set(spec, {"ipFamilyPolicy"}, is_free ? "RequireDualStack" : "SingleStack");
    // A VPC that became dual stack does not change the Services it has.
    if (before != nullptr && policy_of(spec) == "PreferDualStack" && !families_of(spec).empty() &&
        is_unchanged(spec, *before))
        return errors;
    Texts families = families_of(spec);
    refuse_two_of_one(spec, families, errors);
    infer_families(spec, offers_ipv6, families, errors);
    if (!is_free && !offers_ipv6) refuse_what_is_not_offered(spec, families, errors);
    if (!errors.empty()) return errors;
    if (families.empty()) families.emplace_back(ipv4);
    if (families.size() == 1 && policy_of(spec) != "SingleStack" && (is_free || offers_ipv6))
        families.push_back(other_family(families[0]));
    json::set(spec, {"ipFamilies"}, list_of(families));
    return errors;
}

void validate_family_change(const json::Value& spec, const json::Value& before, FieldErrors& errors) {
    const auto check = [&](Text field, Text what) {
        const Texts now = json::find_strings(spec, {field});
        const Texts old = json::find_strings(before, {field});
        const std::string where = field_path("spec", field);
        if (old.empty() || now.empty()) return;
        // spec.clusterIPs[0] is clusterIP's own rule.
        if (field != "clusterIPs" && now[0] != old[0])
            errors.push_back(invalid_value(field_path(where, size_t(0)), now[0], immutable_text));
        if (old.size() < 2) return;
        if (now.size() < 2) {
            if (policy_of(spec) != "SingleStack")
                errors.push_back(invalid_value("spec.ipFamilyPolicy", policy_of(spec),
                                               fmt::format("must be 'SingleStack' to release the secondary {}", what)));
        } else if (now[1] != old[1]) {
            errors.push_back(invalid_value(field_path(where, size_t(1)), now[1], immutable_text));
        }
    };
    check("clusterIPs", "cluster IP");
    check("ipFamilies", "ipFamily");
}

}  // namespace weft::apiserver
