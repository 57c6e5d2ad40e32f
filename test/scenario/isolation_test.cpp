// Two VPCs with the same addresses on one node, and pods that try everything: no frame of one is ever seen in the other.
//
//   vpc-demo: client -> web x3, client          vpc-blue: client -> web x3, client          (a sniffer in every pod)
//
// 10^5 frames, tagged with their VPC, seed printed: 0 foreign tags anywhere, at least 99 % of the valid ones arrive at home.
#include <unistd.h>

#include <thread>

#include "base/fd.h"
#include "base/rng.h"
#include "base/strings.h"
#include "support/world_main.h"

namespace weft::test {

static constexpr int frames_per_vpc = 50000;

struct Pod {
    std::string ns, name, uid, address;
    Output sniffed;
    std::thread thread;
};

static std::vector<Pod> pods_of(const std::string& ns) {
    std::vector<Pod> pods;
    const json::Value list = world->get("pods", ns);
    const json::Array* items = json::find_array(list, {"items"});
    if (items == nullptr) return pods;
    for (const json::Value& item : *items) {
        Pod pod;
        pod.ns = ns;
        pod.name = json::find_string(item, {"metadata", "name"});
        pod.uid = json::find_string(item, {"metadata", "uid"});
        pod.address = json::find_string(item, {"status", "podIP"});
        if (!pod.address.empty()) pods.push_back(std::move(pod));
    }
    return pods;
}

static std::string in_pod_netns(const Pod& pod, const std::string& command) {
    return "nsenter --net=" + Instance::netns_path(world->instance().pod_netns(pod.uid)) + " " + command;
}

static std::string frames(const std::string& arguments) { return "python3 " + root() + "/test/support/frames.py " + arguments; }

static int64_t count(const Output& output, const std::string& kind, const std::string& tag) {
    const auto value = json::parse(trim(output.text));
    return value ? json::find_int(*value, {kind, tag}) : -1;
}

TEST(Isolation, no_frame_of_one_vpc_is_ever_seen_in_the_other) {
    uint64_t seed = 0;
    secure_random({reinterpret_cast<uint8_t*>(&seed), 4});
    if (const char* wish = std::getenv("WEFT_SEED")) seed = parse_unsigned(wish).value_or(seed);
    printf("seed %llu (WEFT_SEED replays it)\n", static_cast<unsigned long long>(seed));

    const std::string stopfile = "/tmp/weft-" + world->instance().name() + "-stop";
    ::unlink(stopfile.c_str());
    struct Side {
        std::string ns, tag, other;
        std::vector<Pod> pods;
        Output sent;
    };
    std::vector<Side> sides(2);
    sides[0] = {"default", "A", "B", pods_of("default"), {}};
    sides[1] = {"blue", "B", "A", pods_of("blue"), {}};
    for (Side& side : sides) {
        ASSERT_GE(side.pods.size(), 3u) << side.ns;
        for (Pod& pod : side.pods)
            pod.thread = std::thread([&pod, &stopfile] { pod.sniffed = run(in_pod_netns(pod, frames("sniff " + stopfile)), 200); });
    }
    std::this_thread::sleep_for(std::chrono::seconds(2));  // the sniffers' sockets; none is waited for by name

    std::vector<std::thread> senders;
    for (Side& side : sides) {
        senders.emplace_back([&side, seed] {
            std::string peers;
            const Pod* client = nullptr;
            for (const Pod& pod : side.pods) {
                if (pod.name == "client") client = &pod;
                if (pod.name != "client") peers += (peers.empty() ? "" : ",") + pod.address;
            }
            const std::string cluster_ip = world->field("svc web", "{.spec.clusterIP}", side.ns);
            const std::string others = cluster_ip + ",10.0.1.250,203.0.113.64,198.51.100.7,198.18.1.1,100.64.0.2,172.21.0.10";
            // The gateway's one MAC, from the neighbour the pod has learned or a first packet makes it learn.
            const std::string learn = "sh -c 'nc -z -w1 " + split_list(peers)[0] + " 8080" +
                                      " 2>/dev/null; ip neigh show | grep -oEm1 [0-9a-f:]{17}'";
            const std::string mac(trim(run(in_pod_netns(*client, learn)).text));
            side.sent = run(in_pod_netns(*client, frames("send " + std::to_string(seed + uint64_t(side.tag[0])) + " " +
                                                         std::to_string(frames_per_vpc) + " " + side.tag + " " + mac + " " + peers + " " + others)),
                            180);
        });
    }
    for (std::thread& sender : senders) sender.join();
    std::this_thread::sleep_for(std::chrono::seconds(1));  // what is still queued at the sniffers
    MUST(write_file(stopfile, ""));
    for (Side& side : sides)
        for (Pod& pod : side.pods) pod.thread.join();
    ::unlink(stopfile.c_str());

    for (const Side& side : sides) {
        const auto sent = json::parse(trim(side.sent.text));
        ASSERT_TRUE(sent) << side.sent.text;
        int64_t arrived = 0;
        for (const Pod& pod : side.pods) {
            EXPECT_EQ(count(pod.sniffed, "seen", side.other), 0) << "foreign frames in " << pod.ns << "/" << pod.name;
            ASSERT_GE(count(pod.sniffed, "valid", side.tag), 0) << pod.sniffed.text;
            arrived += count(pod.sniffed, "valid", side.tag);
        }
        const int64_t valid = json::find_int(*sent, {"valid"});
        printf("%s: sent %lld, valid %lld, arrived %lld\n", side.ns.c_str(), static_cast<long long>(json::find_int(*sent, {"sent"})),
               static_cast<long long>(valid), static_cast<long long>(arrived));
        EXPECT_GT(valid, frames_per_vpc / 2);
        EXPECT_GE(double(arrived), 0.99 * double(valid));
    }
}

}  // namespace weft::test

int main(int argc, char** argv) { return weft::test::run_scenario(argc, argv); }
