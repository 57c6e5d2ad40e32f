// A small chart in the hands of helm 4.1: installed, upgraded, rolled back, refused and removed.
//
// helm keeps its records as Secrets through Go's typed client (protobuf bodies), applies on the server's side, and
// waits by watching the status of what it made. Spec: kubernetes.md section 10 (helm), API-20, API-57, API-83.
#include "base/strings.h"
#include "support/world_main.h"

namespace weft::test {
namespace {

class Helm : public testing::Test {
protected:
    static std::string program() {
        static const std::string path = [] {
            const Output found = run(fmt::format("{0}/test/support/client helm 4.1 {1}/..", root(), WEFT_BIN), 300);
            EXPECT_TRUE(found.ok()) << found.text;
            return std::string(trim(found.text));
        }();
        return path;
    }

    static Output helm(const std::string& arguments) {
        return run(fmt::format("HOME={0} {1} --kubeconfig {2} {3}", world->instance().run_dir(), program(),
                               world->instance().kubeconfig(), arguments),
                   120);
    }

    static std::string chart() { return root() + "/test/support/chart"; }

    static std::string colour() { return world->field("cm/shop-settings", "{.data.colour}"); }

    static std::string replicas() { return world->field("deploy/shop", "{.status.readyReplicas}"); }
};

TEST_F(Helm, installs_upgrades_rolls_back_and_removes_a_chart) {
    Output said = helm("install shop " + chart() + " --wait --timeout 90s");
    ASSERT_TRUE(said.ok()) << said.text;
    EXPECT_EQ(colour(), "blue");
    EXPECT_EQ(replicas(), "2") << "--wait saw it become ready";
    EXPECT_EQ(world->field("cm/shop-before", "{.data.revision}"), "1") << "the hook ran";
    EXPECT_NE(world->kubectl("get secret -l owner=helm,name=shop -o name").text.find("sh.helm.release.v1.shop.v1"),
              std::string::npos);

    said = helm("install shop " + chart());
    EXPECT_FALSE(said.ok()) << "the name is taken";
    EXPECT_NE(said.text.find("cannot reuse a name"), std::string::npos) << said.text;

    said = helm("upgrade shop " + chart() + " --set colour=red,replicas=3 --wait --timeout 90s");
    ASSERT_TRUE(said.ok()) << said.text;
    EXPECT_EQ(colour(), "red");
    EXPECT_EQ(replicas(), "3");
    EXPECT_EQ(world->field("deploy/shop", "{.spec.template.metadata.annotations.colour}"), "red");

    // A chart that the server refuses leaves a failed revision and the objects as they were.
    said = helm("upgrade shop " + chart() + " --set replicas=-1");
    EXPECT_FALSE(said.ok());
    EXPECT_NE(said.text.find("spec.replicas: Invalid value: -1"), std::string::npos) << said.text;
    EXPECT_EQ(world->field("deploy/shop", "{.spec.replicas}"), "3");

    // Someone else's field is a conflict, which helm shows.
    ASSERT_TRUE(world
                    ->kubectl("patch cm shop-settings --type=merge --field-manager=someone -p '{\"data\":{\"colour\":"
                              "\"green\"}}'")
                    .ok());
    said = helm("upgrade shop " + chart() + " --set colour=white");
    EXPECT_FALSE(said.ok());
    EXPECT_NE(said.text.find("conflict with \"someone\""), std::string::npos) << said.text;

    said = helm("rollback shop 1 --force-conflicts --wait --timeout 90s");
    ASSERT_TRUE(said.ok()) << said.text;
    EXPECT_EQ(colour(), "blue");
    EXPECT_EQ(replicas(), "2");

    said = helm("history shop -o json");
    ASSERT_TRUE(said.ok()) << said.text;
    EXPECT_NE(said.text.find("Rollback to 1"), std::string::npos) << said.text;
    EXPECT_NE(helm("list").text.find("deployed"), std::string::npos);
    EXPECT_NE(helm("status shop").text.find("STATUS: deployed"), std::string::npos);
    EXPECT_NE(helm("get manifest shop").text.find("shop-settings"), std::string::npos);

    said = helm("uninstall shop --wait --timeout 90s");
    ASSERT_TRUE(said.ok()) << said.text;
    const std::string left = world->kubectl("get deploy,svc,ing,cm,secret,sa -o name").text;
    EXPECT_EQ(left.find("/shop\n"), std::string::npos) << left;
    EXPECT_EQ(left.find("sh.helm.release"), std::string::npos) << left;
    EXPECT_EQ(eventually(60, [] { return world->kubectl("get pod -l app=shop -o name").text; }), "") << "its pods end";
}

}  // namespace
}  // namespace weft::test

int main(int argc, char** argv) {
    return weft::test::run_scenario(argc, argv);
}
