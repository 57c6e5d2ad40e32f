#include "runtime/plan.h"

#include <gtest/gtest.h>

#include "runtime/pod_files.h"

namespace weft::runtime {
namespace {

kube::Object pod_of(std::string_view yaml) { return kube::Object(MUST(json::parse_yaml(yaml)).at(0)); }

Result<protocol::runtime::Launch> plan_of(
    std::string_view container,
    const Image& image = {
        .root = "", .command = {"/bin/app"}, .args = {"-d"}, .environment = {{"IMG", "1"}}, .working_dir = "/srv"}) {
    const kube::Object pod = pod_of(
        "{apiVersion: v1, kind: Pod, metadata: {name: web-0, namespace: blue, uid: u, labels: {app: web}}, spec: {containers: []}}");
    const json::Value spec = MUST(json::parse_yaml(container)).at(0);
    const auto none = [](std::string_view) { return kube::ObjectPtr(); };
    const References references{none, none, "198.18.1.1", {"10.0.1.4"}};
    return plan_container(
        {pod, spec, image, references, "", {}, [](std::string_view name) { return "/v/" + std::string(name); }});
}

using Words = std::vector<std::string>;

TEST(Plan, CommandAndArgsReplaceTheImagesAsKubernetesSays) {
    EXPECT_EQ(plan_of("{name: m}")->argv, (Words{"/bin/app", "-d"}));
    EXPECT_EQ(plan_of("{name: m, args: [-x]}")->argv, (Words{"/bin/app", "-x"}));
    EXPECT_EQ(plan_of("{name: m, command: [sh]}")->argv, (Words{"sh"}));
    EXPECT_EQ(plan_of("{name: m, command: [sh], args: [-c, ls]}")->argv, (Words{"sh", "-c", "ls"}));
    EXPECT_EQ(plan_of("{name: m}")->working_dir, "/srv");
    EXPECT_EQ(plan_of("{name: m, workingDir: /tmp}")->working_dir, "/tmp");
}

TEST(Plan, VariablesExpandInOrderAndUnknownOnesStay) {
    const Variables variables{{"A", "1"}, {"B", "$(A)"}};
    EXPECT_EQ(expand_variables("$(A)-$(B)-$(C)-$$(A)-$A-$", variables), "1-$(A)-$(C)-$(A)-$A-$");
    const Words environment =
        plan_of("{name: m, env: [{name: X, value: $(Y)}, {name: Y, value: b}, {name: Z, value: $(Y)}]}")->environment;
    EXPECT_NE(std::find(environment.begin(), environment.end(), "X=$(Y)"), environment.end());
    EXPECT_NE(std::find(environment.begin(), environment.end(), "Z=b"), environment.end());
    EXPECT_NE(std::find(environment.begin(), environment.end(), "IMG=1"), environment.end());
}

TEST(Plan, DownwardFieldsComeFromThePod) {
    const auto value = [](std::string_view path) {
        const auto plan = plan_of(
            fmt::format("{{name: m, env: [{{name: V, valueFrom: {{fieldRef: {{fieldPath: \"{}\"}}}}}}]}}", path));
        return plan ? plan->environment.back() : plan.error().message;
    };
    EXPECT_EQ(value("status.podIP"), "V=10.0.1.4");
    EXPECT_EQ(value("status.hostIP"), "V=198.18.1.1");
    EXPECT_EQ(value("metadata.namespace"), "V=blue");
    EXPECT_EQ(value("metadata.labels['app']"), "V=web");
    EXPECT_NE(value("spec.volumes").find("field label not supported"), std::string::npos);
}

TEST(Plan, WhatIsMissingOrNotOfferedIsNamed) {
    EXPECT_EQ(plan_of("{name: m, env: [{name: V, valueFrom: {secretKeyRef: {name: s, key: k}}}]}").error().message,
              "env V: secret \"s\" not found");
    EXPECT_TRUE(plan_of("{name: m, env: [{name: V, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}]}"));
    EXPECT_EQ(plan_of("{name: m, volumeMounts: [{name: v, mountPath: /v}]}").error().message,
              "volumeMounts: no volume named \"v\"");
    EXPECT_NE(plan_of("{name: m, restartPolicy: Always}").error().message.find("no sidecar containers"), std::string::npos);
}

TEST(Images, BuiltInsAndTheTableAreFoundByNameAndTag) {
    const ImageTable table =
        MUST(ImageTable::parse("images:\n  redis:7: {command: [/usr/bin/redis-server], args: [--port, '1']}\n", "/w"));
    EXPECT_EQ(table.find("echo:demo")->command, (Words{"/w", "echo"}));
    EXPECT_TRUE(table.find("client"));
    EXPECT_EQ(table.find("redis:7")->args, (Words{"--port", "1"}));
    EXPECT_EQ(table.find("redis").error().code, Code::not_found);
    EXPECT_EQ(table.find("registry.example:5000/echo").error().code, Code::not_found);
    EXPECT_FALSE(ImageTable::parse("images:\n  bad: {root: relative, command: [x]}\n", "/w"));
    EXPECT_FALSE(ImageTable::parse("images:\n  bad: {}\n", "/w"));
    EXPECT_FALSE(ImageTable::parse("[]", "/w"));
}

TEST(ResolvConf, EachPolicyGivesItsFile) {
    const DnsInputs inputs{"172.21.0.10", "default", "# mine\nnameserver 9.9.9.9\nsearch corp.test\noptions rotate\n"};
    const struct {
        std::string_view spec, expected;
    } rows[] = {
        {"{}",
         "nameserver 172.21.0.10\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"},
        {"{dnsPolicy: Default}", "nameserver 9.9.9.9\nsearch corp.test\noptions rotate\n"},
        {"{dnsPolicy: None, dnsConfig: {nameservers: [1.1.1.1], searches: [a.test], options: [{name: ndots, value: '2'}, {name: use-vc}]}}",
         "nameserver 1.1.1.1\nsearch a.test\noptions ndots:2 use-vc\n"},
        {"{dnsConfig: {nameservers: [172.21.0.10, 1.1.1.1, 2.2.2.2, 3.3.3.3], options: [{name: ndots, value: '1'}]}}",
         "nameserver 172.21.0.10\nnameserver 1.1.1.1\nnameserver 2.2.2.2\n"
         "search default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:1\n"},
    };
    for (const auto& row : rows)
        EXPECT_EQ(resolv_conf(pod_of(fmt::format("{{metadata: {{name: web, namespace: blue}}, spec: {}}}", row.spec)),
                              inputs),
                  row.expected);
}

TEST(HostsFile, NamesThePodItsDomainAndItsAliases) {
    const std::string text = hosts_file(
        pod_of(
            "{metadata: {name: web-0, namespace: blue}, spec: {subdomain: web, hostAliases: [{ip: 1.2.3.4, hostnames: [a, b]}]}}"),
        {"10.0.1.4", "fd00:10::4"}, "default");
    EXPECT_NE(text.find("10.0.1.4\tweb-0.web.default.svc.cluster.local\tweb-0\n"
                        "fd00:10::4\tweb-0.web.default.svc.cluster.local\tweb-0\n1.2.3.4\ta\tb\n"),
              std::string::npos)
        << text;
}

}  // namespace
}  // namespace weft::runtime
