// What EndpointSlices and Endpoints may say, rule by rule: EPS-1..EPS-4, EPS-11 of spec/kubernetes.md.
#include "apiserver/kinds_testing.h"
#include "apiserver/validate.h"

namespace weft::apiserver {
namespace {

std::string slice(std::string_view rest) {
    return fmt::format(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: s, namespace: a}}, {}}}", rest);
}

std::string endpoints(std::string_view subsets) {
    return fmt::format("{{apiVersion: v1, kind: Endpoints, metadata: {{name: s, namespace: a}}, subsets: {}}}",
                       subsets);
}

void accepts(const std::string& object) {
    EXPECT_EQ(create_errors(object), "") << object;
}

void refuses(const std::string& object, std::string_view text) {
    const std::string errors = create_errors(object);
    EXPECT_NE(errors.find(text), std::string::npos) << object << "\n" << errors;
}

json::Array times(size_t n, const json::Value& value) {
    return json::Array(n, value);
}

// Of a slice whose part at `field` is `list`.
std::string errors_with(std::string_view rest, std::string_view field, json::Array list) {
    json::Value object = taken(slice(rest));
    object.get_object()[field] = std::move(list);
    return lines(validate_create(kind_of(object), object));
}

TEST(EndpointSliceFields, EPS_1_an_object_has_its_limits) {
    const json::Value one = json::Object{{"addresses", json::Array{"10.0.0.1"}}};
    EXPECT_EQ(errors_with("addressType: IPv4", "endpoints", times(1000, one)), "");
    EXPECT_NE(errors_with("addressType: IPv4", "endpoints", times(1001, one))
                  .find("endpoints: Too many: 1001: must have at most 1000 items"),
              std::string::npos);
    json::Array ports, addresses, places;
    for (int i = 0; i < 101; ++i) {
        ports.push_back(json::Object{{"name", fmt::format("p{}", i)}, {"protocol", "TCP"}, {"port", i + 1}});
        addresses.push_back(json::Value(fmt::format("10.0.0.{}", i + 1)));
    }
    EXPECT_NE(errors_with("addressType: IPv4, endpoints: []", "ports", ports)
                  .find("ports: Too many: 101: must have at most 100 items"),
              std::string::npos);
    const json::Array wide{json::Object{{"addresses", addresses}}};
    EXPECT_NE(errors_with("addressType: IPv4", "endpoints", wide).find("endpoints[0].addresses: Too many: 101"),
              std::string::npos);
    for (int i = 0; i < 9; ++i) places.push_back(json::Object{{"name", fmt::format("z{}", i)}});
    for (const std::string_view kind : {"forZones", "forNodes"}) {
        json::Value hinted = one;
        json::set(hinted, {"hints", kind}, places);
        EXPECT_NE(errors_with("addressType: IPv4", "endpoints", {hinted})
                      .find(fmt::format("endpoints[0].hints.{}: Too many: 9", kind)),
                  std::string::npos);
    }
    refuses(slice("addressType: IPv4, endpoints: [{addresses: []}]"), "endpoints[0].addresses");
}

TEST(EndpointSliceFields, EPS_2_addresses_are_of_the_slices_type_canonical_and_of_the_outside_of_a_host) {
    accepts(slice("addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{port: 80}]"));
    accepts(slice("addressType: IPv6, endpoints: [{addresses: ['fd00::1']}]"));
    accepts(slice("addressType: FQDN, endpoints: [{addresses: [db.example.com]}]"));
    refuses(slice("addressType: IPX, endpoints: []"), "addressType: Unsupported value: \"IPX\"");
    refuses(slice("endpoints: []"), "addressType: Required value");
    refuses(slice("addressType: IPv4, endpoints: [{addresses: ['fd00::1']}]"),
            "endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be an IPv4 address");
    refuses(slice("addressType: IPv6, endpoints: [{addresses: [10.0.0.1]}]"),
            "endpoints[0].addresses[0]: Invalid value");
    refuses(slice("addressType: IPv6, endpoints: [{addresses: ['FD00:0::1']}]"),
            "must be in canonical form (\"fd00::1\")");
    refuses(slice("addressType: IPv4, endpoints: [{addresses: [10.0.0.01]}]"),
            "endpoints[0].addresses[0]: Invalid value");
    refuses(slice("addressType: FQDN, endpoints: [{addresses: [a_b]}]"), "endpoints[0].addresses[0]: Invalid value");
    for (const std::string_view bad : {"127.0.0.1", "0.0.0.0", "169.254.3.3", "224.0.0.1"})
        refuses(slice(fmt::format("addressType: IPv4, endpoints: [{{addresses: [{}]}}]", bad)),
                "endpoints[0].addresses[0]: Invalid value");
    for (const std::string_view bad : {"::1", "::", "fe80::1", "ff02::1"})
        refuses(slice(fmt::format("addressType: IPv6, endpoints: [{{addresses: ['{}']}}]", bad)),
                "endpoints[0].addresses[0]: Invalid value");
    const json::Value old = taken(slice("addressType: IPv6, endpoints: [{addresses: ['FD00:0::1']}]"));
    json::Value more =
        taken(slice("addressType: IPv6, endpoints: [{addresses: ['fd00::2']}, {addresses: ['FD00:0::1']}]"));
    EXPECT_EQ(lines(validate_update(kind_of(more), more, old, Part::main)), "") << "as it was (API-124)";
    more = taken(slice("addressType: IPv6, endpoints: [{addresses: ['FD00:0::2']}]"));
    EXPECT_NE(lines(validate_update(kind_of(more), more, old, Part::main)).find("canonical form"), std::string::npos);
    const json::Value stored = taken(slice("addressType: IPv4, endpoints: []"));
    json::Value wish = taken(slice("addressType: IPv6, endpoints: []"));
    EXPECT_NE(lines(validate_update(kind_of(wish), wish, stored, Part::main))
                  .find("addressType: Invalid value: \"IPv6\": field is immutable"),
              std::string::npos);
}

TEST(EndpointSliceFields, EPS_3_ports_have_unique_names_of_which_one_may_be_empty) {
    accepts(slice("addressType: IPv4, endpoints: [], ports: [{port: 1}, {name: b, port: 2}]"));
    accepts(slice("addressType: IPv4, endpoints: [], ports: [{name: all}]"));
    accepts(slice("addressType: IPv4, endpoints: [], ports: [{name: a, port: 1, appProtocol: kubernetes.io/h2c}]"));
    EXPECT_EQ(json::find_string(taken(slice("addressType: IPv4, endpoints: [], ports: [{port: 1}]")).at("ports").at(0),
                                {"protocol"}),
              "TCP");
    refuses(slice("addressType: IPv4, endpoints: [], ports: [{port: 1}, {port: 2}]"),
            "ports[1].name: Duplicate value: \"\"");
    refuses(slice("addressType: IPv4, endpoints: [], ports: [{name: a, port: 1}, {name: a, port: 2}]"),
            "ports[1].name: Duplicate value: \"a\"");
    refuses(slice("addressType: IPv4, endpoints: [], ports: [{name: A_b, port: 1}]"), "ports[0].name: Invalid value");
    refuses(slice("addressType: IPv4, endpoints: [], ports: [{name: a, port: 1, appProtocol: 'x y'}]"),
            "ports[0].appProtocol: Invalid value");
    refuses(slice("addressType: IPv4, endpoints: [], ports: [{name: a, port: 1, protocol: ICMP}]"),
            "ports[0].protocol: Unsupported value");
}

TEST(EndpointSliceFields, EPS_4_names_places_and_hints_of_an_endpoint) {
    const auto with = [](std::string_view more) {
        return slice(fmt::format("addressType: IPv4, endpoints: [{{addresses: [10.0.0.1], {}}}]", more));
    };
    accepts(
        with("hostname: a-0, nodeName: n1.example.com, zone: zone-a, hints: {forZones: [{name: zone-a}, {name: "
             "zone-b}], forNodes: [{name: n1}]}"));
    refuses(with("hostname: A"), "endpoints[0].hostname: Invalid value");
    refuses(with("hostname: a.b"), "endpoints[0].hostname: Invalid value");
    refuses(with("nodeName: N_1"), "endpoints[0].nodeName: Invalid value");
    refuses(with("zone: 'a b'"), "endpoints[0].zone: Invalid value");
    refuses(with("deprecatedTopology: {a: b}"), "endpoints[0].deprecatedTopology: Forbidden");
    refuses(with("hints: {forZones: [{name: z}, {name: z}]}"),
            "endpoints[0].hints.forZones[1].name: Duplicate value: \"z\"");
    refuses(with("hints: {forZones: [{name: 'a b'}]}"), "endpoints[0].hints.forZones[0].name: Invalid value");
    refuses(with("hints: {forNodes: [{name: n}, {name: n}]}"),
            "endpoints[0].hints.forNodes[1].name: Duplicate value: \"n\"");
}

// EPS-11
TEST(EndpointsFields, have_addresses_that_can_be_reached_and_ports_that_can_be_told_apart) {
    accepts(endpoints("[]"));
    accepts(
        endpoints("[{addresses: [{ip: 10.0.0.1, hostname: a, nodeName: n1}], notReadyAddresses: [{ip: 'fd00::1'}], "
                  "ports: [{port: 80}]}]"));
    accepts(endpoints("[{addresses: [{ip: 10.0.0.1}]}]"));
    refuses(endpoints("[{ports: [{port: 80}]}]"),
            "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`");
    refuses(endpoints("[{addresses: [{ip: 10.0.0.300}]}]"),
            "subsets[0].addresses[0].ip: Invalid value: \"10.0.0.300\": must be a valid IP address");
    refuses(endpoints("[{notReadyAddresses: [{ip: 127.0.0.1}]}]"),
            "subsets[0].notReadyAddresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range");
    refuses(endpoints("[{addresses: [{ip: 10.0.0.1, hostname: A}]}]"),
            "subsets[0].addresses[0].hostname: Invalid value");
    refuses(endpoints("[{addresses: [{ip: 10.0.0.1}], ports: [{port: 80}, {port: 81, name: b}]}]"),
            "subsets[0].ports[0].name: Required value");
    refuses(endpoints("[{addresses: [{ip: 10.0.0.1}], ports: [{port: 80, name: a}, {port: 81, name: a}]}]"),
            "subsets[0].ports[1].name: Duplicate value: \"a\"");
    refuses(endpoints("[{addresses: [{ip: 10.0.0.1}], ports: [{port: 0}]}]"),
            "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535");
    refuses(endpoints("[{addresses: [{ip: 10.0.0.1}], ports: [{port: 80, protocol: ICMP}]}]"),
            "subsets[0].ports[0].protocol: Unsupported value");
}

}  // namespace
}  // namespace weft::apiserver
