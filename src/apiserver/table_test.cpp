#include "apiserver/table.h"

#include "apiserver/kinds_testing.h"

namespace weft::apiserver {
namespace {

const WallTime now = WallTime(std::chrono::seconds(1764000000));  // 2025-11-24T16:00:00Z

std::string row(std::string_view text) {
    const json::Value object = yaml(text);
    const json::Value* one = &object;
    const json::Value table = to_table(kind_of(object), std::span(&one, 1), IncludeObject::none, now);
    EXPECT_EQ(table.at("columnDefinitions").as_array().size(), table.at("rows").at(0).at("cells").as_array().size());
    return json::serialize(table.at("rows").at(0).at("cells"));
}

TEST(Table, AgesReadAsKubectlWritesThem) {
    const std::pair<int64_t, std::string_view> cases[] = {{5, "5s"},           {119, "119s"},
                                                          {182, "3m2s"},       {600, "10m"},
                                                          {7200, "120m"},      {15000, "4h10m"},
                                                          {36000, "10h"},      {2 * 86400 + 3 * 3600, "2d3h"},
                                                          {45 * 86400, "45d"}, {(2 * 365 + 3) * 86400, "2y3d"},
                                                          {-60, "<invalid>"}};
    for (const auto& [seconds, expected] : cases)
        EXPECT_EQ(age(rfc3339(now - std::chrono::seconds(seconds)), now), expected);
    EXPECT_EQ(age("", now), "<unknown>");
}

TEST(Table, CellsOfEachKind) {
    const std::string_view meta = "metadata: {name: a, namespace: b, creationTimestamp: '2025-11-24T15:59:55Z'}";
    const auto with = [&](std::string_view head, std::string_view rest) {
        return row(fmt::format("{{{}, {}, {}}}", head, meta, rest));
    };
    EXPECT_EQ(with("apiVersion: v1, kind: Service",
                   "spec: {type: LoadBalancer, clusterIP: 10.0.0.1, selector: {b: c, a: b}, ports: [{port: 80, "
                   "protocol: TCP, nodePort: 30080}]}"),
              R"x(["a","LoadBalancer","10.0.0.1","<pending>","80:30080/TCP","5s","a=b,b=c"])x");
    EXPECT_EQ(with("apiVersion: v1, kind: Service", "spec: {type: ExternalName, externalName: x.y}"),
              R"x(["a","ExternalName","<none>","x.y","<none>","5s","<none>"])x");
    EXPECT_EQ(
        with("apiVersion: v1, kind: Pod",
             "spec: {nodeName: n1, containers: [{name: a}]}, status: {phase: Running, podIP: 10.0.0.9, "
             "containerStatuses: [{ready: true, "
             "restartCount: 2, state: {running: {}}, lastState: {terminated: {finishedAt: '2025-11-24T15:58:00Z'}}}]}"),
        R"x(["a","1/1","Running","2 (2m ago)","5s","10.0.0.9","n1","<none>","<none>"])x");
    EXPECT_EQ(with("apiVersion: v1, kind: Pod",
                   "spec: {containers: [{name: a}]}, status: {phase: Pending, containerStatuses: [{state: {waiting: "
                   "{reason: ErrImagePull}}}]}"),
              R"x(["a","0/1","ErrImagePull","0","5s","<none>","<none>","<none>","<none>"])x");
    EXPECT_EQ(with("apiVersion: networking.k8s.io/v1, kind: Ingress",
                   "spec: {ingressClassName: weft, rules: [{host: x}]}, status: {loadBalancer: {ingress: [{ip: "
                   "203.0.113.9}]}}"),
              R"x(["a","weft","x","203.0.113.9","80","5s"])x");
    EXPECT_EQ(with("apiVersion: discovery.k8s.io/v1, kind: EndpointSlice",
                   "addressType: IPv4, ports: [{port: 80}], endpoints: [{addresses: [10.0.0.1]}, {addresses: "
                   "[10.0.0.2]}, {addresses: "
                   "[10.0.0.3]}, {addresses: [10.0.0.4]}]"),
              R"x(["a","IPv4","80","10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...","5s"])x");
    EXPECT_EQ(with("apiVersion: apps/v1, kind: Deployment",
                   "spec: {replicas: 3, selector: {matchLabels: {a: b}}, template: {spec: {containers: [{name: c, "
                   "image: i}]}}}, "
                   "status: {readyReplicas: 2, updatedReplicas: 3, availableReplicas: 2}"),
              R"x(["a","2/3",3,2,"5s","c","i","a=b"])x");
    EXPECT_EQ(with("apiVersion: v1, kind: Node",
                   "status: {conditions: [{type: Ready, status: 'True'}], addresses: [{type: InternalIP, address: "
                   "198.18.1.1}], nodeInfo: "
                   "{kubeletVersion: v1}}"),
              R"x(["a","Ready","<none>","5s","v1","198.18.1.1","<none>","<unknown>","<unknown>","<unknown>"])x");
    EXPECT_EQ(with("apiVersion: weft.dev/v1, kind: VPC",
                   "spec: {cidrBlock: 10.0.0.0/16, serviceCIDR: 172.21.0.0/20}, status: {vni: 7, conditions: [{type: "
                   "Accepted, status: "
                   "'True'}, {type: Ready, status: 'True', reason: Fine}]}"),
              R"x(["a","10.0.0.0/16","172.21.0.0/20",null,7,"True","5s",null,null,null,null,null,"Fine"])x");
    EXPECT_EQ(with("apiVersion: v1, kind: ConfigMap", "data: {x: y}"), R"x(["a",1,"5s"])x");
}

TEST(Table, API22_RowsCarryWhatIsAskedFor) {
    const json::Value object = yaml("{apiVersion: v1, kind: Namespace, metadata: {name: a}, status: {phase: Active}}");
    const json::Value* one = &object;
    const auto table = [&](IncludeObject include, bool columns) {
        return to_table(kind_of(object), std::span(&one, 1), include, now, columns);
    };
    EXPECT_TRUE(table(IncludeObject::none, true).at("rows").at(0).at("object").is_null());
    EXPECT_EQ(table(IncludeObject::metadata, true).at("rows").at(0).at("object").at("kind"), "PartialObjectMetadata");
    EXPECT_EQ(table(IncludeObject::object, true).at("rows").at(0).at("object"), object);
    EXPECT_TRUE(table(IncludeObject::none, false).at("columnDefinitions").as_array().empty()) << "API-59";
    EXPECT_EQ(parse_include_object("Everything"), std::nullopt);
}

TEST(Table, JsonPaths) {
    const json::Value root = yaml("{a: {b.c/d: 1, e: [x, y]}, l: [{t: Ready, s: 'True'}, {t: Other, s: 'False'}]}");
    const std::pair<std::string_view, std::string_view> cases[] = {{".a['b.c/d']", "1"},
                                                                   {".a.b\\.c/d", "1"},
                                                                   {".a.e[1]", "\"y\""},
                                                                   {".a.e[-1]", "\"y\""},
                                                                   {".a.e[*]", "\"x\""},
                                                                   {".l[?(@.t==\"Ready\")].s", "\"True\""},
                                                                   {".l[?(@.t!='Ready')].s", "\"False\""},
                                                                   {".nothing", ""},
                                                                   {".a.e[9]", ""},
                                                                   {".a.e[", ""},
                                                                   {"a", ""},
                                                                   {".l[?(]", ""},
                                                                   {".l[?(@.t=='x')].s", ""}};
    for (const auto& [path, expected] : cases) {
        const auto found = json_path(root, path);
        EXPECT_EQ(found.empty() ? "" : json::serialize(*found[0]), expected) << path;
    }
    EXPECT_EQ(json_path(root, ".a.e[*]").size(), 2u);
}

}  // namespace
}  // namespace weft::apiserver
