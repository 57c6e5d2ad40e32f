// Addresses over three nodes in two zones, by examples/acs/01 to 05 as they stand: every fact in their heads that needs no
// enforced security group. Then CNI STATUS and GC as a container runtime asks them, and `weft ipam check --repair` on a
// world edited by hand.
//
//   n1 (cn-local-a)   n2 (cn-local-b)   n3 (cn-local-a)
//   vsw-zone-a 10.0.1.0/24, vsw-tiny 10.0.9.0/29 in a; vsw-zone-b 10.0.2.0/24 in b
#include <cstdlib>
#include <memory>
#include <set>

#include "base/fd.h"
#include "base/strings.h"
#include "net/address.h"
#include "support/objects.h"
#include "support/world_main.h"

namespace weft::test {

static std::string address(const std::string& ns, const std::string& pod) {
    return text_at(world->get("pod " + pod, ns), {"status", "podIP"});
}

static std::string running(const std::string& ns, const std::vector<std::string>& pods) { return running(*world, ns, pods); }

// What a pod gets that says nothing itself and that nothing selects.
static std::string is_default(const json::Value& pod) {
    const std::string ip = text_at(pod, {"status", "podIP"});
    if (!is_in(ip, "10.0.1.0/24") && !is_in(ip, "10.0.2.0/24")) return "address " + ip;
    for (const char* name : {"network.alibabacloud.com/vswitch-ids", "network.alibabacloud.com/security-group-ids",
                             "k8s.aliyun.com/pod-networking", "k8s.aliyun.com/pod-eni"})
        if (!annotation(pod, name).empty()) return std::string(name) + ": " + annotation(pod, name);
    return "";
}

static int64_t available(const std::string& vswitch) {
    return json::find_int(world->get("vsw " + vswitch), {"status", "availableIPCount"}, -1);
}

static std::string until_available(const std::string& vswitch, int64_t wanted) {
    return eventually(soon_s, [&]() -> std::string {
        const int64_t now = available(vswitch);
        return now == wanted ? "" : fmt::format("{} has {} available, not {}", vswitch, now, wanted);
    });
}

// vsw-zone-a counts its pods and the addresses that are kept for nobody alive.
static std::string zone_a_counts(size_t kept) {
    return eventually(soon_s, [&]() -> std::string {
        const json::Value list = world->get("pods -A");
        const json::Array* const pods = json::find_array(list, {"items"});
        if (pods == nullptr) return "no answer";
        size_t used = kept;
        for (const json::Value& pod : *pods)
            used += annotation(pod, "weft.dev/vswitch") == "vsw-zone-a" && !text_at(pod, {"status", "podIP"}).empty();
        const int64_t now = available("vsw-zone-a");
        return now == 252 - int64_t(used) ? "" : fmt::format("{} available, {} in use or kept", now, used);
    });
}

TEST(Addresses, acs_01_a_pod_gets_its_address_from_the_vswitch_it_names) {
    ASSERT_EQ(apply_example(*world, "01"), "");
    ASSERT_EQ(running("ex-01", {"placed", "defaulted"}), "");
    const std::string placed = address("ex-01", "placed");
    EXPECT_TRUE(is_in(placed, "10.0.2.0/24")) << placed;
    EXPECT_EQ(is_default(world->get("pod defaulted", "ex-01")), "");
    const auto is_written_back = [] {
        const json::Value pod = world->get("pod placed", "ex-01");
        const bool whole = annotation(pod, "network.alibabacloud.com/vswitch-id") == "vsw-zone-b" &&
                           annotation(pod, "network.alibabacloud.com/vpc-id") == "vpc-demo" &&
                           !annotation(pod, "network.alibabacloud.com/allocated-eni-id").empty() &&
                           annotation(pod, "topology.kubernetes.io/zone") == "cn-local-b";
        return whole ? std::string() : json::serialize(pod);
    };
    EXPECT_EQ(eventually(soon_s, is_written_back), "");
    // 5: edited, and then something else that the controller does after it has seen the edit.
    EXPECT_TRUE(world->kubectl("annotate -n ex-01 pod placed --overwrite network.alibabacloud.com/vswitch-ids=vsw-zone-a "
                               "network.alibabacloud.com/security-group-ids=sg-web")
                    .ok());
    ASSERT_TRUE(world->apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: after, namespace: ex-01, annotations: {network.alibabacloud.com/vswitch-ids: vsw-zone-a}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: echo, image: "echo:demo"}]}
)")
                    .ok());
    ASSERT_EQ(running("ex-01", {"after"}), "");
    EXPECT_EQ(address("ex-01", "placed"), placed);
    EXPECT_EQ(is_written_back(), "");
}

// The crowd of acs/02: so many in vsw-tiny, and then all four, so many in vsw-zone-a.
static std::string crowd_is(size_t in_tiny, size_t elsewhere) {
    return until_list(*world, "pods", "ex-02", [=](const json::Array& pods) -> std::string {
        std::multiset<std::string> tiny;
        size_t others = 0;
        for (const json::Value& pod : pods) {
            const std::string ip = text_at(pod, {"status", "podIP"});
            if (text_at(pod, {"status", "phase"}) != "Running") continue;
            if (is_in(ip, "10.0.9.0/29")) tiny.insert(ip);
            else if (is_in(ip, "10.0.1.0/24")) ++others;
        }
        if (tiny.size() != in_tiny || others != elsewhere)
            return fmt::format("{} in vsw-tiny, {} in vsw-zone-a", tiny.size(), others);
        const std::multiset<std::string> all = {"10.0.9.1", "10.0.9.2", "10.0.9.3", "10.0.9.4"};
        return tiny == all ? "" : "reserved addresses were given";
    });
}

static std::unique_ptr<Recording> crowd_recording;

TEST(Addresses, acs_02_a_full_vswitch_passes_pods_on_to_the_next) {
    ASSERT_EQ(until_available("vsw-tiny", 4), "");
    crowd_recording = std::make_unique<Recording>(*world, "pods", "ex-02", "{.metadata.name} {.status.podIP}");
    ASSERT_EQ(apply_example(*world, "02"), "");
    EXPECT_EQ(crowd_is(4, 2), "");
    EXPECT_EQ(until_available("vsw-tiny", 0), "");
    ASSERT_TRUE(world->kubectl("scale -n ex-02 deployment crowd --replicas=0").ok());
    EXPECT_EQ(until_available("vsw-tiny", 4), "");
    // Fact 4 is looked at below: those four rest for 30 s first.
    const std::string only_tiny =
        R"({"spec":{"replicas":6,"template":{"metadata":{"annotations":{"network.alibabacloud.com/vswitch-ids":"vsw-tiny"}}}}})";
    ASSERT_TRUE(world->kubectl("patch -n ex-02 deployment crowd --type=merge -p '" + only_tiny + "'").ok());
}

TEST(Addresses, acs_03_the_profiles_selectors_add_what_a_pod_does_not_say_itself) {
    constexpr std::string_view groups = "network.alibabacloud.com/security-group-ids";
    ASSERT_TRUE(world->apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: early, labels: {tier: web}}
spec: {containers: [{name: echo, image: "echo:demo"}]}
)")
                    .ok());
    ASSERT_EQ(running("default", {"early"}), "");
    const std::string early_address = address("default", "early");
    ASSERT_EQ(apply_example(*world, "03"), "");
    ASSERT_EQ(running("ex-03", {"plain", "web", "stubborn"}), "");
    const json::Value plain = world->get("pod plain", "ex-03");
    EXPECT_EQ(is_default(plain), "") << "the profile's own: sg-default";
    EXPECT_EQ(annotation(plain, "team-note"), "everyone");
    EXPECT_EQ(text_at(plain, {"metadata", "labels", "profiled"}), "");
    const json::Value web = world->get("pod web", "ex-03");
    EXPECT_EQ(annotation(web, groups), "sg-web");
    EXPECT_EQ(annotation(web, "team-note"), "web");
    const json::Value stubborn = world->get("pod stubborn", "ex-03");
    EXPECT_EQ(annotation(stubborn, groups), "sg-db");
    EXPECT_EQ(annotation(stubborn, "team-note"), "web");
    for (const json::Value* pod : {&web, &stubborn}) EXPECT_EQ(text_at(*pod, {"metadata", "labels", "profiled"}), "yes");
    const json::Value early = world->get("pod early");
    EXPECT_EQ(annotation(early, "team-note"), "");
    EXPECT_EQ(text_at(early, {"metadata", "labels", "profiled"}), "");
    EXPECT_EQ(annotation(early, groups), "");
    EXPECT_EQ(text_at(early, {"status", "podIP"}), early_address);
    // The shared profile back.
    EXPECT_TRUE(world->kubectl("apply -f " + root() + "/examples/world.yaml").ok());
    EXPECT_EQ(world->field("configmap acs-profile", "{.data.selectors}", "kube-system"), "");
    (void)world->kubectl("delete pod early --wait=false");
}

TEST(Addresses, acs_04_a_PodNetworking_chooses_by_both_selectors) {
    constexpr std::string_view chosen = "k8s.aliyun.com/pod-networking";
    ASSERT_EQ(apply_example(*world, "04"), "");
    ASSERT_EQ(eventually(soon_s, [] {
                  const json::Value edge = world->get("podnetworking edge");
                  const bool ready = text_at(edge, {"status", "status"}) == "Ready";
                  return ready ? std::string() : json::serialize(edge);
              }),
              "");
    const json::Value edge = world->get("podnetworking edge");
    EXPECT_EQ(json::serialize(*json::find(edge, {"status", "vSwitches"})), R"([{"id":"vsw-zone-b","zone":"cn-local-b"}])");
    EXPECT_EQ(until_event(*world, "default", "edge", "Normal", "SyncPodNetworkingSucceed", ""), "");
    const json::Value broken = world->get("podnetworking broken");
    EXPECT_EQ(text_at(broken, {"status", "status"}), "Fail");
    EXPECT_NE(text_at(broken, {"status", "message"}).find("vsw-missing"), std::string::npos);
    EXPECT_EQ(until_event(*world, "default", "broken", "Warning", "SyncPodNetworkingFailed", "vsw-missing"), "");

    ASSERT_EQ(running("ex-04", {"inside", "unlabelled"}), "");
    ASSERT_EQ(running("ex-04-other", {"outside"}), "");
    const json::Value inside = world->get("pod inside", "ex-04");
    EXPECT_TRUE(is_in(text_at(inside, {"status", "podIP"}), "10.0.2.0/24"));
    EXPECT_EQ(annotation(inside, "network.alibabacloud.com/security-group-ids"), "sg-web");
    EXPECT_EQ(annotation(inside, chosen), "edge");
    EXPECT_EQ(annotation(inside, "k8s.aliyun.com/pod-eni"), "true");
    const json::Value unlabelled = world->get("pod unlabelled", "ex-04");
    EXPECT_EQ(is_default(unlabelled), "");
    EXPECT_EQ(is_default(world->get("pod outside", "ex-04-other")), "");
    // 6, and 2: "broken" selects the next one, and is never used. When that runs, the label has long been seen.
    ASSERT_TRUE(world->kubectl("label -n ex-04 pod unlabelled face=public").ok());
    ASSERT_TRUE(world->apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: nowhere, namespace: ex-04, labels: {face: nowhere}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: echo, image: "echo:demo"}]}
)")
                    .ok());
    ASSERT_EQ(running("ex-04", {"nowhere"}), "");
    EXPECT_EQ(is_default(world->get("pod nowhere", "ex-04")), "");
    const json::Value labelled = world->get("pod unlabelled", "ex-04");
    EXPECT_EQ(is_default(labelled), "");
    EXPECT_EQ(text_at(labelled, {"status", "podIP"}), text_at(unlabelled, {"status", "podIP"}));
}

TEST(Addresses, acs_05_an_address_belongs_to_the_name_of_a_stateful_pod) {
    const Recording records(*world, "podenis", "ex-05", "{.metadata.name} {.status.phase} {.status.podUID}");
    ASSERT_EQ(apply_example(*world, "05"), "");
    ASSERT_EQ(running("ex-05", {"ledger-0", "ledger-1"}), "");
    const std::string first = address("ex-05", "ledger-0"), second = address("ex-05", "ledger-1");
    EXPECT_TRUE(is_in(first, "10.0.1.0/24") && is_in(second, "10.0.1.0/24")) << first << " " << second;
    const auto phase = [](const std::string& name) {
        return text_at(world->get("podeni " + name, "ex-05"), {"status", "phase"});
    };
    for (const char* name : {"ledger-0", "ledger-1"}) {
        EXPECT_EQ(eventually(soon_s, [&] { return phase(name) == "Bind" ? "" : phase(name); }), "");
        const json::Value allocations = *json::find(world->get(fmt::format("podeni {}", name), "ex-05"), {"spec", "allocations"});
        EXPECT_EQ(text_at(allocations.at(0), {"allocationType", "type"}), "Fixed");
    }
    // 5: the same label, no name that lasts.
    EXPECT_EQ(until_list(*world, "pods -l kind=stateless", "ex-05",
                         [](const json::Array& pods) -> std::string {
                             if (pods.size() != 1 || text_at(pods[0], {"status", "podIP"}).empty()) return "not there";
                             return is_default(pods[0]);
                         }),
              "");
    ASSERT_EQ(zone_a_counts(0), "");

    // 2: deleted and made anew by its owner.
    const std::string uid = text_at(world->get("pod ledger-0", "ex-05"), {"metadata", "uid"});
    const std::string uid_of_other = text_at(world->get("pod ledger-1", "ex-05"), {"metadata", "uid"});
    ASSERT_TRUE(world->kubectl("delete -n ex-05 pod ledger-0 --grace-period=1").ok());
    ASSERT_EQ(eventually(soon_s, [&] {
                  const json::Value pod = world->get("pod ledger-0", "ex-05");
                  const bool anew = !text_at(pod, {"status", "podIP"}).empty() && text_at(pod, {"metadata", "uid"}) != uid;
                  return anew ? std::string() : std::string("not yet");
              }),
              "");
    EXPECT_EQ(address("ex-05", "ledger-0"), first);
    EXPECT_EQ(address("ex-05", "ledger-1"), second);
    EXPECT_EQ(text_at(world->get("pod ledger-1", "ex-05"), {"metadata", "uid"}), uid_of_other);
    const std::string next_uid = text_at(world->get("pod ledger-0", "ex-05"), {"metadata", "uid"});
    // In between its record was unbound, and the other's never was.
    EXPECT_EQ(eventually(soon_s, [&]() -> std::string {
                  std::string phases, all;
                  for (const std::string& line : records.lines()) {
                      all += line + "\n";
                      if (line == "ledger-1 Unbind " + uid_of_other) return all;
                      const char* const states[] = {"Bind", "Unbind", "Bind"};
                      const size_t seen = size_t(std::count(phases.begin(), phases.end(), ' '));
                      if (seen < 3 && line == fmt::format("ledger-0 {} {}", states[seen], seen == 2 ? next_uid : uid))
                          phases += std::string(states[seen]) + " ";
                  }
                  return phases == "Bind Unbind Bind " ? "" : all;
              }),
              "");

    // 3, 4: nobody lives, and nobody else gets it.
    ASSERT_TRUE(world->kubectl("scale -n ex-05 statefulset ledger --replicas=0").ok());
    for (const char* name : {"ledger-0", "ledger-1"})
        EXPECT_EQ(eventually(soon_s, [&] { return phase(name) == "Unbind" ? "" : phase(name); }), "") << name;
    EXPECT_EQ(zone_a_counts(2), "");
    ASSERT_TRUE(world->kubectl("scale -n ex-05 deployment loose --replicas=8").ok());
    EXPECT_EQ(until_list(*world, "pods -l kind=stateless", "ex-05",
                         [&](const json::Array& pods) -> std::string {
                             std::set<std::string> addresses;
                             for (const json::Value& pod : pods) addresses.insert(text_at(pod, {"status", "podIP"}));
                             if (addresses.contains(first) || addresses.contains(second)) return "given to another";
                             return addresses.size() == 8 && !addresses.contains("") ? "" : "not all run";
                         }),
              "");
    ASSERT_TRUE(world->kubectl("scale -n ex-05 statefulset ledger --replicas=2").ok());
    ASSERT_EQ(running("ex-05", {"ledger-0", "ledger-1"}), "");
    EXPECT_EQ(address("ex-05", "ledger-0"), first);
    EXPECT_EQ(address("ex-05", "ledger-1"), second);
    for (const char* name : {"ledger-0", "ledger-1"})  // whatever the deployment's pods are called, none is recorded
        EXPECT_EQ(eventually(soon_s, [&] { return phase(name) == "Bind" ? "" : phase(name); }), "") << name;
    EXPECT_EQ(world->field("podenis", "{.items[*].metadata.name}", "ex-05"), "ledger-0 ledger-1");

    // 3 as it stands takes five minutes; after_its_time_a_kept_address_is_free_again is the same with a second.
    if (std::getenv("WEFT_TEST_LONG") != nullptr) {
        ASSERT_TRUE(world->kubectl("scale -n ex-05 statefulset ledger --replicas=0").ok());
        EXPECT_EQ(eventually(soon_s, [&] { return phase("ledger-1") == "Unbind" ? "" : phase("ledger-1"); }), "");
        EXPECT_EQ(eventually(400, [&] { return world->field("podenis", "{.items[*].metadata.name}", "ex-05"); }), "");
        EXPECT_EQ(zone_a_counts(0), "");
    }

    // 6
    const Output refused = world->apply(R"(
apiVersion: network.alibabacloud.com/v1beta1
kind: PodNetworking
metadata: {name: odd}
spec:
  allocationType: {type: Fixed, releaseStrategy: Never, releaseAfter: 5m0s}
  selector: {podSelector: {matchLabels: {a: b}}}
)");
    EXPECT_FALSE(refused.ok());
    EXPECT_NE(refused.text.find("releaseAfter must be empty when releaseStrategy is never"), std::string::npos)
        << refused.text;
}

// Fact 3 of acs/05 with seconds for minutes.
TEST(Addresses, after_its_time_a_kept_address_is_free_again) {
    ASSERT_TRUE(world->apply(R"(
apiVersion: network.alibabacloud.com/v1beta1
kind: PodNetworking
metadata: {name: brief}
spec:
  allocationType: {type: Fixed, releaseStrategy: TTL, releaseAfter: 1s}
  selector: {podSelector: {matchLabels: {keeps: briefly}}}
  vSwitchOptions: [vsw-isolated]
---
apiVersion: v1
kind: Pod
metadata: {name: brief, labels: {keeps: briefly}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: echo, image: "echo:demo"}]}
)")
                    .ok());
    ASSERT_EQ(running("default", {"brief"}), "");
    EXPECT_TRUE(is_in(address("default", "brief"), "10.0.5.0/24"));
    ASSERT_EQ(until_available("vsw-isolated", 251), "");
    ASSERT_TRUE(world->kubectl("delete pod brief").ok());
    EXPECT_EQ(eventually(soon_s, [] { return world->kubectl("get podeni brief").ok() ? "kept" : ""; }), "");
    EXPECT_EQ(until_available("vsw-isolated", 252), "");
}

// acs/02, facts 4 and 2.
TEST(Addresses, acs_02_a_full_vswitch_says_so_where_there_is_no_other) {
    EXPECT_EQ(crowd_is(4, 0), "");  // at the latest when the first four have rested
    std::string pending;
    EXPECT_EQ(until_list(*world, "pods", "ex-02",
                         [&](const json::Array& pods) -> std::string {
                             size_t waiting = 0;
                             for (const json::Value& pod : pods) {
                                 if (!text_at(pod, {"spec", "nodeName"}).empty()) continue;
                                 if (text_at(pod, {"status", "phase"}) != "Pending") return "not Pending";
                                 ++waiting;
                                 pending = text_at(pod, {"metadata", "name"});
                             }
                             return waiting == 2 ? "" : fmt::format("{} pods wait", waiting);
                         }),
              "");
    EXPECT_EQ(until_event(*world, "ex-02", pending, "Warning", "VSwitchExhausted", "vsw-tiny"), "");
    std::set<std::string> ever;
    for (const std::string& line : crowd_recording->lines()) {
        const std::string ip = line.substr(std::min(line.find(' ') + 1, line.size()));
        if (is_in(ip, "10.0.9.0/29")) ever.insert(ip);
    }
    EXPECT_EQ(ever, (std::set<std::string>{"10.0.9.1", "10.0.9.2", "10.0.9.3", "10.0.9.4"})) << "no pod ever had another";
    crowd_recording.reset();
    ASSERT_TRUE(world->kubectl("delete namespace ex-02 --wait=false").ok());
}

// As a container runtime calls it: the file it finds gives the configuration; nothing goes by the agent's socket directly.
static Output cni(const std::string& node, const std::string& command, const std::string& more = "") {
    const std::string list = world->instance().node_run_dir(node) + "/cni/05-weft.conflist";
    const json::Value parsed = MUST(json::parse(MUST(read_file(list))));
    json::Object config = json::find_array(parsed, {"plugins"})->at(0).as_object();
    config["name"] = *json::find(parsed, {"name"});
    config["cniVersion"] = json::find_strings(parsed, {"cniVersions"}).back();
    std::string text = json::serialize(config);
    if (!more.empty()) text = text.substr(0, text.size() - 1) + "," + more + "}";
    return run("CNI_COMMAND=" + command + " CNI_PATH=" + WEFT_BIN + " " + WEFT_BIN + "/weft-cni <<'END'\n" + text + "\nEND");
}

// CNI-43, CNI-44, CNI-50
TEST(Addresses, CNI_43_CNI_44_a_runtime_asks_for_the_status_and_has_garbage_collected) {
    ASSERT_EQ(cni("n1", "STATUS").text, "");
    ASSERT_TRUE(world->apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: forgotten}
spec: {nodeSelector: {kubernetes.io/hostname: n1}, containers: [{name: echo, image: "echo:demo"}]}
)")
                    .ok());
    ASSERT_EQ(running("default", {"forgotten"}), "");
    const std::string uid = text_at(world->get("pod forgotten"), {"metadata", "uid"});
    const std::string log = world->instance().node_run_dir("n1") + "/allocations.log";
    const auto is_known = [&] { return MUST(read_file(log)).find("release " + uid) == std::string::npos; };
    EXPECT_EQ(cni("n1", "GC").status, 1) << "no list: nothing is removed";
    EXPECT_TRUE(is_known());

    std::string valid;
    const json::Value pods = world->get("pods -A --field-selector spec.nodeName=n1");
    for (const json::Value& pod : *json::find_array(pods, {"items"})) {
        const std::string other = text_at(pod, {"metadata", "uid"});
        if (other == uid) continue;
        valid += (valid.empty() ? "" : ",") + fmt::format(R"({{"containerID":"{}","ifname":"eth0"}})", other);
    }
    const Output collected = cni("n1", "GC", R"("cni.dev/valid-attachments":[)" + valid + "]");
    EXPECT_EQ(collected.text, "");
    EXPECT_EQ(collected.status, 0);
    EXPECT_FALSE(is_known());
    EXPECT_EQ(cni("n1", "STATUS").text, "");
    EXPECT_TRUE(world->kubectl("delete pod forgotten --grace-period=0 --force").ok());
}

TEST(Addresses, ipam_check_finds_what_a_hand_broke_and_mends_it) {
    const auto check = [](const std::string& arguments = "") { return world->weft("ipam check " + arguments); };
    EXPECT_EQ(eventually(soon_s, [&] {
                  const Output output = check();
                  return output.ok() ? std::string() : output.text;
              }),
              "");
    const std::string ip = address("ex-01", "placed");
    std::string block;
    EXPECT_EQ(until_list(*world, "ablk", "default", [&](const json::Array& blocks) -> std::string {
        for (const json::Value& object : blocks) {
            const auto cidr = net::Prefix::parse(text_at(object, {"spec", "cidr"}));
            if (cidr && text_at(object, {"spec", "vpc"}) == "vpc-demo" && cidr->contains(MUST(net::Address::parse(ip))))
                block = text_at(object, {"metadata", "name"});
        }
        return block.empty() ? "no block of " + ip : "";
    }),
              "");
    ASSERT_TRUE(world->kubectl("patch ablk " + block + " --type=merge -p '{\"metadata\":{\"finalizers\":null}}'").ok());
    ASSERT_TRUE(world->kubectl("delete ablk " + block).ok());
    const Output broken = check();
    EXPECT_EQ(broken.status, 1);
    EXPECT_NE(broken.text.find(ip), std::string::npos) << broken.text;
    EXPECT_NE(broken.text.find("no AddressBlock lends it"), std::string::npos) << broken.text;
    EXPECT_EQ(eventually(soon_s, [&] {
                  const Output repaired = check("--repair");
                  return repaired.ok() ? std::string() : repaired.text;
              }),
              "");
    EXPECT_EQ(address("ex-01", "placed"), ip);
}

}  // namespace weft::test

int main(int argc, char** argv) {
    return weft::test::run_scenario(argc, argv, "--nodes 3 --zones 2 --examples " + weft::test::root() + "/examples", false,
                                    "lab");
}
