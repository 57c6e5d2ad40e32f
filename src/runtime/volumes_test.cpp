#include "runtime/volumes.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/fd.h"
#include "runtime/plan.h"
#include "runtime/service_links.h"
#include "runtime/volume_files.h"

namespace weft::runtime {
namespace {

namespace fs = std::filesystem;

kube::Object object_of(std::string_view yaml) {
    return kube::Object(MUST(json::parse_yaml(yaml)).at(0));
}

References references() {
    const auto config_map = [](std::string_view name) -> kube::ObjectPtr {
        if (name != "cm") return nullptr;
        return std::make_shared<const kube::Object>(
            object_of("{kind: ConfigMap, metadata: {name: cm, namespace: default}, data: {a: one, b: two}, binaryData: "
                      "{raw: AAE=}}"));
    };
    const auto secret = [](std::string_view name) -> kube::ObjectPtr {
        if (name != "s") return nullptr;
        return std::make_shared<const kube::Object>(
            object_of("{kind: Secret, metadata: {name: s, namespace: default}, data: {key: c2VjcmV0}}"));
    };
    return {config_map, secret, "198.18.1.1", {"10.0.1.4", "fd00::4"}};
}

kube::Object pod_with(std::string_view volumes) {
    return object_of(
        fmt::format("{{metadata: {{name: web, namespace: default, labels: {{app: web, quote: 'a\"b'}}}}, "
                    "spec: {{volumes: [{}]}}}}",
                    volumes));
}

Result<VolumePlan> plan_of(std::string_view volume) {
    Result<std::vector<VolumePlan>> plans = plan_volumes(pod_with(volume), references());
    if (!plans) return fail(plans.error());
    return plans->at(0);
}

using Files = std::map<std::string, VolumeFile>;

TEST(Volumes, ConfigMapsAndSecretsGiveTheirKeysOrTheChosenItemsWithTheirModes) {
    EXPECT_EQ(plan_of("{name: v, configMap: {name: cm}}")->files,
              (Files{{"a", {"one", 0644}}, {"b", {"two", 0644}}, {"raw", {std::string("\0\1", 2), 0644}}}));
    EXPECT_EQ(plan_of("{name: v, configMap: {name: cm, defaultMode: 256, items: [{key: a, path: x/y}, {key: b, path: "
                      "z, mode: 420}]}}")
                  ->files,
              (Files{{"x/y", {"one", 0400}}, {"z", {"two", 0644}}}));
    EXPECT_EQ(plan_of("{name: v, secret: {secretName: s}}")->files, (Files{{"key", {"secret", 0644}}}));
    EXPECT_TRUE(plan_of("{name: v, secret: {secretName: late, optional: true}}")->files.empty());
}

TEST(Volumes, TheDownwardApiAndProjectedVolumesShowThePodAndJoinSources) {
    EXPECT_EQ(plan_of("{name: v, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, "
                      "{path: ips, fieldRef: {fieldPath: status.podIPs}}]}}")
                  ->files,
              (Files{{"labels", {"app=\"web\"\nquote=\"a\\\"b\"", 0644}}, {"ips", {"10.0.1.4,fd00::4", 0644}}}));
    EXPECT_EQ(
        plan_of(
            "{name: v, projected: {defaultMode: 288, sources: [{configMap: {name: cm, items: [{key: a, path: a}]}}, "
            "{secret: {name: s}}, {downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}]}}")
            ->files,
        (Files{{"a", {"one", 0440}}, {"key", {"secret", 0440}}, {"name", {"web", 0440}}}));
}

TEST(Volumes, WhatIsMissingOutsideOrNotOfferedIsNamed) {
    const struct {
        std::string_view volume, message;
    } rows[] = {
        {"{name: v, configMap: {name: late}}", "configmap \"late\" not found"},
        {"{name: v, configMap: {name: cm, items: [{key: q, path: q}]}}",
         "configmap references non-existent configmap key: q"},
        {"{name: v, configMap: {name: cm, items: [{key: a, path: ../a}]}}", "must not contain '..'"},
        {"{name: v, persistentVolumeClaim: {claimName: c}}", "not persistentVolumeClaim"},
        {"{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}",
         "sources configMap, secret, downwardAPI and serviceAccountToken"},
    };

    for (const auto& row : rows) {
        const Result<VolumePlan> plan = plan_of(row.volume);
        ASSERT_FALSE(plan) << row.volume;
        EXPECT_TRUE(plan.error().message.starts_with("MountVolume.SetUp failed for volume \"v\" "))
            << plan.error().message;
        EXPECT_NE(plan.error().message.find(row.message), std::string::npos) << plan.error().message;
    }
}

TEST(Volumes, MountsComeParentsFirstAndContentIsReadOnly) {
    const kube::Object pod = pod_with("{name: c, configMap: {name: cm}}, {name: e, emptyDir: {}}, {name: none}");
    const auto mounts = [&](std::string_view list) {
        return plan_mounts(pod, MUST(json::parse_yaml(fmt::format("{{volumeMounts: [{}]}}", list))).at(0),
                           {{"POD", "web-0"}}, [](std::string_view name) { return "/v/" + std::string(name); });
    };
    using protocol::runtime::BindMount;
    EXPECT_EQ(*mounts("{name: c, mountPath: /data/conf/}, {name: e, mountPath: /data}, {name: none, mountPath: /n, "
                      "readOnly: true}"),
              (std::vector<BindMount>{
                  {"/v/e", "/data", "", false}, {"/v/none", "/n", "", true}, {"/v/c", "/data/conf", "", true}}));
    EXPECT_EQ(*mounts("{name: e, mountPath: /l, subPathExpr: logs/$(POD)}"),
              (std::vector<BindMount>{{"/v/e", "/l", "logs/web-0", false}}));
    EXPECT_FALSE(mounts("{name: e, mountPath: /l, subPathExpr: $(NOPE)}"));
    EXPECT_FALSE(mounts("{name: e, mountPath: /l, subPath: a/../../b}"));
    EXPECT_FALSE(mounts("{name: e, mountPath: /}"));
    EXPECT_FALSE(mounts("{name: nope, mountPath: /x}"));
}

class VolumeFilesTest : public testing::Test {
protected:
    VolumeFilesTest() { EXPECT_TRUE(make_directories(folder_, 0700)); }

    ~VolumeFilesTest() override { EXPECT_TRUE(remove_tree(folder_)); }

    std::string content(const std::string& path) { return read_file(folder_ + "/v/" + path).value_or("(none)"); }

    std::string set() { return fs::read_symlink(folder_ + "/v/..data").string(); }

    std::string folder_ = "/tmp/weft-volumes-" + std::to_string(getpid());
};

TEST_F(VolumeFilesTest, ContentChangesAsOneAndWhatStandsAlreadyIsLeftAlone) {
    VolumePlan plan{"v", VolumePlan::Kind::content, {{"a", {"one", 0400}}, {"deep/b", {"two", 0644}}}};
    ASSERT_TRUE(put_volume(folder_ + "/v", plan, -1));
    EXPECT_EQ(content("a") + content("deep/b"), "onetwo");
    struct stat status{};
    ASSERT_EQ(::stat((folder_ + "/v/a").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0400u);
    const std::string first = set();
    ASSERT_TRUE(put_volume(folder_ + "/v", plan, -1));
    EXPECT_EQ(set(), first);
    plan.files = {{"a", {"three", 0400}}, {"c", {"", 0644}}};
    ASSERT_TRUE(put_volume(folder_ + "/v", plan, -1));
    EXPECT_NE(set(), first);
    EXPECT_EQ(content("a") + content("c") + content("deep/b"), "three(none)");
    EXPECT_FALSE(fs::exists(folder_ + "/v/" + first));
    EXPECT_FALSE(fs::is_symlink(fs::symlink_status(folder_ + "/v/deep")));
}

TEST_F(VolumeFilesTest, AnEmptyDirIsMadeOnceForEveryoneOrForItsGroup) {
    ASSERT_TRUE(put_volume(folder_ + "/v", {"v", VolumePlan::Kind::empty, {}}, 4321));
    struct stat status{};
    ASSERT_EQ(::stat((folder_ + "/v").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 02777u);
    EXPECT_EQ(status.st_gid, 4321u);
    ASSERT_TRUE(write_file(folder_ + "/v/mine", "x"));
    ASSERT_TRUE(put_volume(folder_ + "/v", {"v", VolumePlan::Kind::empty, {}}, -1));
    EXPECT_EQ(content("mine"), "x");
}

TEST(ServiceLinks, NameEachServiceAndPortAsKubernetesDoes) {
    const auto service = std::make_shared<const kube::Object>(
        object_of("{kind: Service, metadata: {name: my-web}, spec: {clusterIP: 172.21.0.7, ports: [{name: http, port: "
                  "80}, {port: 53, protocol: UDP}]}}"));
    const auto headless = std::make_shared<const kube::Object>(
        object_of("{kind: Service, metadata: {name: h}, spec: {clusterIP: None, ports: [{port: 80}]}}"));
    const EnvironmentLines lines = service_links({service, headless});
    const std::map<std::string, std::string> map(lines.begin(), lines.end());
    EXPECT_EQ(map.at("MY_WEB_SERVICE_HOST"), "172.21.0.7");
    EXPECT_EQ(map.at("MY_WEB_SERVICE_PORT"), "80");
    EXPECT_EQ(map.at("MY_WEB_SERVICE_PORT_HTTP"), "80");
    EXPECT_EQ(map.at("MY_WEB_PORT"), "tcp://172.21.0.7:80");
    EXPECT_EQ(map.at("MY_WEB_PORT_53_UDP"), "udp://172.21.0.7:53");
    EXPECT_EQ(map.at("MY_WEB_PORT_53_UDP_ADDR"), "172.21.0.7");
    EXPECT_FALSE(map.contains("H_SERVICE_HOST"));
    EXPECT_TRUE(service_links(std::vector<kube::ObjectPtr>(service_links_max + 1, service)).empty());
}

}  // namespace
}  // namespace weft::runtime
