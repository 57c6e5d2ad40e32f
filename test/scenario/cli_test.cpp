// What a person asks of a running weft: doctor, status, conntrack, drops and why; and that the answers are those of the
// network itself.
#include <filesystem>
#include <set>

#include "base/fd.h"
#include "base/strings.h"
#include "support/world_main.h"

namespace weft::test {

static json::Value json_of(const Output& output) {
    auto value = json::parse(output.text);
    EXPECT_TRUE(value) << output.text;
    return value ? *value : json::Value(nullptr);
}

static json::Value why(const std::string& pod, const std::string& target, int exit_code) {
    const Output output = world->weft("why " + pod + " " + target + " -o json");
    EXPECT_EQ(output.status, exit_code) << pod << " " << target << ": " << output.text;
    return json_of(output);
}

static std::string text(const json::Value& value, std::string_view name) {
    return std::string(json::find_string(value, {name}));
}

static std::string cluster_ip(const std::string& service, const std::string& ns = "default") {
    return world->field("svc " + service, "{.spec.clusterIP}", ns);
}

static std::string pod_ip_behind_web(const std::string& ns = "default") {
    return world->field("pods -l app=web", "{.items[0].status.podIP}", ns);
}

static size_t connections_remembered() {
    return json_of(world->weft("conntrack -o json")).as_array().size();
}

TEST(Doctor, finds_that_a_weft_can_run_where_one_runs) {
    const Output output = world->weft("doctor");
    EXPECT_EQ(output.status, 0) << output.text;
    for (const char* line : {"ok    rights", "ok    kernel", "ok    btf", "ok    bpf", "ok    programs",
                             "ok    rules       none in the instance's"})
        EXPECT_NE(output.text.find(line), std::string::npos) << line << "\n" << output.text;
    EXPECT_EQ(output.text.find("STOP"), std::string::npos) << output.text;
}

TEST(Doctor, warns_of_programs_that_the_client_image_misses) {
    const Output output = run(std::string("PATH=/nowhere ") + WEFT_BIN + "/weft doctor");
    EXPECT_EQ(output.status, 0);
    EXPECT_NE(output.text.find("warn  programs"), std::string::npos) << output.text;
    EXPECT_NE(output.text.find("missing: curl, dig, nc"), std::string::npos) << output.text;
    EXPECT_NE(output.text.find("fix: apt install"), std::string::npos) << output.text;
}

TEST(Doctor, comes_first_in_up_and_stops_it_before_anything_is_made) {
    const std::string folder = "/tmp/weft-" + world->instance().name();
    const std::string name = "x" + world->instance().name().substr(1);
    ASSERT_TRUE(run("mkdir " + folder + " && cp " + WEFT_BIN + "/weft " + folder).ok());
    const Output output = run(folder + "/weft up --instance " + name);
    EXPECT_EQ(output.status, 3) << output.text;
    EXPECT_NE(output.text.find("programs: " + folder + "/weft-cni is missing"), std::string::npos) << output.text;
    EXPECT_FALSE(std::filesystem::exists("/run/weft/" + name));
    EXPECT_FALSE(std::filesystem::exists("/var/lib/weft/" + name));
    MUST(remove_tree(folder));
}

TEST(Status, says_in_json_that_every_process_is_ready) {
    const json::Value status = json_of(world->weft("status -o json"));
    EXPECT_EQ(text(status, "instance"), world->instance().name());
    EXPECT_TRUE(json::find_bool(status, {"ready"}));
    std::set<std::string> names;
    for (const json::Value& process : *json::find_array(status, {"processes"})) {
        EXPECT_TRUE(json::find_bool(process, {"ready"})) << json::serialize(process);
        names.insert(text(process, "name"));
    }
    EXPECT_EQ(names, (std::set<std::string>{"apiserver", "controller", "agent", "keeper", "runtime", "alb", "dns"}));
}

TEST(Version, names_weft_the_data_plane_and_the_kernel) {
    const json::Value version = json_of(world->weft("version -o json"));
    EXPECT_NE(text(version, "version"), "");
    EXPECT_EQ(text(version, "kernel") + "\n", run("uname -r").text);
    EXPECT_GE(json::find_int(version, {"dataPlaneVersion"}), 1);
}

TEST(Why, shows_the_backend_that_a_service_would_choose) {
    const json::Value answer = why("default/client", cluster_ip("web") + ":80", 0);
    EXPECT_TRUE(json::find_bool(answer, {"goesOn"}));
    EXPECT_TRUE(json::find_bool(answer, {"sameProgramAsRunning"})) << "the rehearsed code is the code that runs";
    EXPECT_EQ(text(answer, "vpc"), "vpc-demo");
    const auto backends = json::find_strings(answer, {"backends"});
    EXPECT_NE(std::find(backends.begin(), backends.end(), text(answer, "backend")), backends.end())
        << json::serialize(answer);
    EXPECT_NE(text(answer, "backend").find("pod default/web-"), std::string::npos) << text(answer, "backend");
    EXPECT_NE(text(answer, "verdict").find("delivered to"), std::string::npos);
    // The same addresses mean other pods in the other VPC.
    const json::Value blue = why("blue/client", cluster_ip("web", "blue") + ":80", 0);
    EXPECT_EQ(text(blue, "vpc"), "vpc-blue");
    EXPECT_NE(text(blue, "backend").find("pod blue/web-"), std::string::npos) << text(blue, "backend");
}

struct Asked {
    std::string target;
    std::string reason;  // "": goes on
    std::string door;
};

TEST(Why, each_refusal_names_its_door_and_its_reason) {
    const std::string web = cluster_ip("web");
    ASSERT_TRUE(world
                    ->apply("apiVersion: v1\nkind: Service\nmetadata: {name: nobody}\n"
                            "spec: {selector: {app: nobody}, ports: [{port: 80}]}\n")
                    .ok());
    const std::string nobody = cluster_ip("nobody");
    EXPECT_EQ(eventually(10,
                         [&] {
                             return world->weft("why client " + nobody + ":80").text.find("no_backend") ==
                                            std::string::npos
                                        ? "not programmed yet"
                                        : "";
                         }),
              "");
    const Asked list[] = {
        {web + ":80", "", ""},
        {web + ":9000/udp", "", ""},
        {pod_ip_behind_web() + ":8080", "", ""},
        {pod_ip_behind_web() + "/icmp", "", ""},
        {web + ":81", "unlisted_port", "translate"},
        {nobody + ":80", "no_backend", "translate"},
        {"172.21.15.254:80", "no_service", "route"},
        {"10.0.1.250:80", "no_endpoint", "route"},
        {"8.8.8.8:53/udp", "no_nat", "route"},
        {"224.0.0.1:53/udp", "multicast", "address"},
    };
    for (const Asked& asked : list) {
        const json::Value answer = why("default/client", asked.target, asked.reason.empty() ? 0 : 9);
        EXPECT_EQ(text(answer, "reason"), asked.reason) << asked.target << json::serialize(answer);
        EXPECT_EQ(text(answer, "door"), asked.door) << asked.target;
    }
    EXPECT_NE(text(why("default/client", nobody + ":80", 9), "answered"), "") << "a refused TCP SYN gets a reset";
    const Output shown = world->weft("why -n default client " + nobody + ":80");
    EXPECT_NE(shown.text.find("translate  DROPS it: no_backend: "), std::string::npos) << shown.text;
    world->kubectl("delete svc nobody");
}

TEST(Why, says_what_the_network_then_does) {
    for (const auto& [target, works] : {std::pair{cluster_ip("web") + ":80", true},
                                        {pod_ip_behind_web() + ":8080", true},
                                        {cluster_ip("web") + ":81", false},
                                        {std::string("10.0.1.250:80"), false}}) {
        const Output asked = world->weft("why default/client " + target);
        const Output tried = world->in_pod("default", "client", "curl -s -m 2 http://" + target + "/");
        EXPECT_EQ(asked.status, works ? 0 : 9) << target << ": " << asked.text;
        EXPECT_EQ(tried.ok(), works) << target << ": " << tried.text;
    }
}

TEST(Why, changes_nothing_and_sends_nothing) {
    const std::string counters = world->weft("drops -o json").text;
    const size_t before = connections_remembered();
    why("default/client", "10.0.1.250:80", 9);
    why("default/client", "10.0.1.250:80/udp", 9);
    for (int i = 0; i < 3; i++) why("default/client", cluster_ip("web") + ":9000/udp", 0);
    EXPECT_EQ(world->weft("drops -o json").text, counters);
    EXPECT_LE(connections_remembered(), before + 2) << "only the balancer's own health checks may have come";
}

TEST(Why, wrong_questions_get_an_answer_that_names_the_part) {
    const auto refused = [](const std::string& arguments, int status, const std::string& words) {
        const Output output = world->weft("why " + arguments);
        EXPECT_EQ(output.status, status) << arguments << ": " << output.text;
        EXPECT_NE(output.text.find(words), std::string::npos) << arguments << ": " << output.text;
    };
    refused("default/client 10.0.1.1", 2, "ADDRESS:PORT");
    refused("default/client web:80", 2, "ADDRESS:PORT");
    refused("default/nobody 10.0.1.1:80", 3, "\"nobody\" not found");
    refused("default/client [fd00::1]:80", 7, "no IPv6 address");
}

TEST(Conntrack, shows_who_spoke_to_whom_and_by_which_service) {
    const std::string web = cluster_ip("web");
    const std::string client = world->field("pod client", "{.status.podIP}");
    world->in_pod("default", "client", "echo hello | nc -u -w 1 " + web + " 9000");
    const json::Value list = json_of(world->weft("conntrack -o json " + web));
    size_t found = 0;
    for (const json::Value& entry : list.as_array()) {
        if (text(entry, "frontend") != web + ":9000") continue;
        EXPECT_EQ(text(entry, "protocol"), "udp");
        EXPECT_TRUE(text(entry, "initiator").starts_with(client + ":")) << json::serialize(entry);
        found++;
    }
    EXPECT_GE(found, 1u) << json::serialize(list);
    const Output table = world->weft("conntrack " + web);
    EXPECT_NE(table.text.find(web + ":9000"), std::string::npos) << table.text;
    EXPECT_EQ(json_of(world->weft("conntrack -o json 10.0.1.251")).as_array().size(), 0u);
    EXPECT_EQ(world->weft("conntrack -n nowhere").status, 3);
    EXPECT_EQ(world->weft("conntrack web").status, 2);
}

TEST(Drops, are_counted_by_reason_in_json_too) {
    world->in_pod("default", "client", "nc -w 1 10.0.1.250 80");
    const json::Value list = json_of(world->weft("drops -o json"));
    bool found = false;
    for (const json::Value& entry : list.as_array())
        found = found || (text(entry, "reason") == "no_endpoint" && text(entry, "hook") == "pod_egress" &&
                          json::find_int(entry, {"packets"}) > 0);
    EXPECT_TRUE(found) << json::serialize(list);
}

// What each process really shows, against the document.
TEST(Metrics, every_metric_of_every_process_is_in_the_document) {
    const std::string document = MUST(read_file(root() + "/docs/operate/metrics.md"));
    size_t seen = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(world->instance().run_dir())) {
        if (!entry.path().string().ends_with(".health.sock")) continue;
        const std::string shown = run("curl -s --unix-socket " + entry.path().string() + " http://x/metrics").text;
        for (const std::string_view line : split(shown, '\n')) {
            if (!line.starts_with("# TYPE ")) continue;
            const std::string_view name = split(line, ' ')[2];
            EXPECT_NE(document.find("`" + std::string(name) + "`"), std::string::npos)
                << entry.path() << " shows " << name;
            seen++;
        }
    }
    EXPECT_GE(seen, 15u);
}

}  // namespace weft::test

int main(int argc, char** argv) {
    return weft::test::run_scenario(argc, argv);
}
