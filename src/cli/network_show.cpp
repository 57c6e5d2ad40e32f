// The verbs: gather, and the views as a person reads them.
#include <fmt/format.h>

#include "cli/network.h"
#include "cloud/annotations.h"
#include "cloud/route_table.h"

namespace weft::cli {
namespace {

Result<NetworkFacts> gather(kube::Client& client) {
    NetworkFacts facts;
    facts.vpcs = TRY(client.list(kube::vpcs)).items;
    facts.vswitches = TRY(client.list(kube::vswitches)).items;
    facts.route_tables = TRY(client.list(kube::route_tables)).items;
    facts.peerings = TRY(client.list(kube::vpc_peerings)).items;
    facts.namespaces = TRY(client.list(kube::namespaces)).items;
    return facts;
}

std::string cell(const json::Value& row, std::string_view name) {
    const json::Value* const value = json::find(row, {name});
    if (value == nullptr) return "";
    return value->is_string() ? std::string(json::view(value->get_string())) : json::serialize(*value);
}

void print_table(const Common& common, const json::Value& view, std::string_view list,
                 const std::vector<Column>& columns, const std::vector<std::string_view>& members) {
    Table table{columns, {}};
    const json::Array* const rows = json::find_array(view, {list});
    if (rows == nullptr || rows->empty()) return;
    for (const json::Value& row : *rows) {
        std::vector<std::string> cells;
        for (const std::string_view member : members) cells.push_back(cell(row, member));
        table.rows.push_back(std::move(cells));
    }
    fmt::print("\n{}", text_of(table, common.output == "wide"));
}

std::string joined(const std::vector<std::string>& texts) {
    std::string all;
    for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
    return all.empty() ? "-" : all;
}

void print_vpc(const Common& common, const json::Value& view) {
    fmt::print("VPC {}  number {}  {}{}{}\n", cell(view, "name"), cell(view, "number"), cell(view, "state"),
               json::find_bool(view, {"default"}) ? "  default" : "",
               json::find_string(view, {"encapsulation"}) == "None" ? "  without overlay" : "");
    auto blocks = json::find_strings(view, {"cidrBlocks"});
    if (const auto ipv6 = cell(view, "ipv6CidrBlock"); !ipv6.empty()) blocks.push_back(ipv6);
    fmt::print("blocks      {}\nServices    {}\naddresses   {} of {} in use\nnamespaces  {}\n", joined(blocks),
               cell(view, "serviceCIDR"), cell(view, "used"), cell(view, "total"),
               joined(json::find_strings(view, {"namespaces"})));
    print_table(common, view, "vSwitches",
                {"VSWITCH", "ZONE", "CIDR", {"IPV6", Align::left, true}, {"USED", Align::right},
                 {"FREE", Align::right}, "ROUTE TABLE", "STATE"},
                {"name", "zone", "cidrBlock", "ipv6CidrBlock", "used", "free", "routeTable", "state"});
    print_table(common, view, "routeTables",
                {"ROUTE TABLE", "TYPE", {"NUMBER", Align::right, true}, {"ROUTES", Align::right},
                 {"ACTIVE", Align::right}, {"VSWITCHES", Align::right}, "STATE"},
                {"name", "type", "number", "routes", "active", "vSwitches", "state"});
    print_table(common, view, "peerings",
                {"PEERING", "PEER", {"ROUTES", Align::right}, {"PEER ROUTES", Align::right}, "STATE"},
                {"name", "peer", "routes", "peerRoutes", "state"});
}

void print_routes(const Common& common, const json::Value& view) {
    if (const auto pod = cell(view, "pod"); !pod.empty())
        fmt::print("pod {} in vSwitch {}\n", pod, cell(view, "vSwitch"));
    fmt::print("RouteTable {}  number {}  {}  VPC {}  used by {} vSwitches\n", cell(view, "table"),
               cell(view, "number"), cell(view, "type"), cell(view, "vpc"), cell(view, "vSwitches"));
    print_table(common, view, "routes", {"DESTINATION", "NEXT HOP", "ORIGIN", "STATE", "MESSAGE"},
                {"destination", "nextHop", "origin", "state", "message"});
}

// The table of a pod's vSwitch, and how it was found.
struct Asked {
    std::string table, pod, vswitch;
};

Result<Asked> find_asked(kube::Client& client, const NetworkFacts& facts, const Common& common,
                         const std::string& what) {
    const size_t slash = what.find('/');
    for (const kube::Object& table : facts.route_tables) {
        if (slash == what.npos && table.name() == what) return Asked{what, {}, {}};
    }
    const kube::ObjectKey key = slash == what.npos
                                    ? kube::ObjectKey{common.ns, what}
                                    : kube::ObjectKey{what.substr(0, slash), what.substr(slash + 1)};
    const auto pod = client.get(kube::pods, key);
    if (!pod && pod.error().code == Code::not_found)
        return fail(Code::not_found, fmt::format("no RouteTable and no pod {}; see: weft get vrt", what));
    if (!pod) return fail(pod.error());
    const std::string vswitch(pod->annotation(cloud::chosen_vswitch_annotation));
    for (const kube::Object& object : facts.vswitches) {
        if (object.name() != vswitch) continue;
        std::string table(object.string({"status", "routeTable"}));
        if (table.empty()) table = cloud::system_table_name(object.string({"spec", "vpc"}));
        return Asked{std::move(table), key.text(), vswitch};
    }
    return fail(Code::not_found, fmt::format("pod {} has no vSwitch yet; see: weft get pods {} -n {}", key.text(),
                                             key.name, key.ns));
}

Result<json::Value> routes_of(kube::Client& client, const Common& common, const std::string& what) {
    const NetworkFacts facts = TRY(gather(client));
    const Asked asked = TRY(find_asked(client, facts, common, what));
    json::Value view = TRY(route_view(facts, asked.table));
    if (!asked.pod.empty()) {
        json::set(view, {"pod"}, json::Value(asked.pod));
        json::set(view, {"vSwitch"}, json::Value(asked.vswitch));
    }
    return view;
}

}  // namespace

int vpc_show(const Common& common, const std::string& vpc) {
    const auto endpoint = find_endpoint(common);
    if (!endpoint) return report(endpoint.error());
    const auto client = kube::connect(*endpoint);
    const auto facts = gather(*client);
    if (!facts) return report(facts.error());
    const auto view = vpc_view(*facts, vpc);
    if (!view) return report(view.error());
    if (is_for_programs(common)) print_value(common, *view);
    else print_vpc(common, *view);
    return 0;
}

int route_show(const Common& common, const std::string& what) {
    const auto endpoint = find_endpoint(common);
    if (!endpoint) return report(endpoint.error());
    const auto client = kube::connect(*endpoint);
    const auto view = routes_of(*client, common, what);
    if (!view) return report(view.error());
    if (is_for_programs(common)) print_value(common, *view);
    else print_routes(common, *view);
    return 0;
}

}  // namespace weft::cli
