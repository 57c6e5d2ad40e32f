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
        {"[fd00::1]:80", "no_nat", "route"},
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
    const Output wide = world->weft("drops -o wide");
    EXPECT_NE(wide.text.find("who has the address? kubectl get pods"), std::string::npos) << wide.text;
}

TEST(Output, is_the_same_for_every_verb_in_every_form) {
    for (const std::string verb : {"status", "drops", "conntrack", "doctor", "version"}) {
        const Output table = world->weft(verb), named = world->weft(verb + " -o table"), yaml = world->weft(verb + " -o yaml");
        EXPECT_TRUE(table.ok() && named.ok() && yaml.ok() && world->weft(verb + " -o wide").ok()) << verb << table.text;
        EXPECT_TRUE(json::parse_yaml(yaml.text)) << yaml.text;
        EXPECT_FALSE(json::parse(table.text)) << "for people: " << table.text;
        EXPECT_EQ(world->weft(verb + " -o xml").status, 2);
    }
    for (const std::string verb : {"up", "lab", "down", "status", "drops", "conntrack", "why", "doctor", "capture", "bundle",
                                   "completion", "version", "apply", "get", "delete", "logs", "exec"}) {
        const Output help = world->weft(verb + " --help");
        EXPECT_NE(help.text.find("example"), std::string::npos) << verb << " --help shows no example: " << help.text;
    }
}

TEST(Capture, shows_what_a_pod_sends_and_writes_what_tcpdump_reads) {
    const std::string file = world->instance().run_dir() + "/test.pcap";
    const std::string web = pod_ip_behind_web();
    // The capture ends by itself once it has seen the handshake; the client asks until then.
    const std::string asking = world->instance().run_dir() + "/test-asking";
    const Output lines = run("touch " + asking + "; (while [ -e " + asking + " ]; do " + WEFT_BIN + "/weft exec --instance " +
                                 world->instance().name() + " client -- curl -s --max-time 1 http://" + web +
                                 ":8080/ >/dev/null; done) & timeout 30 " +
                                 WEFT_BIN + "/weft capture --instance " + world->instance().name() +
                                 " default/client tcp port 8080 host " + web + " -c 3; status=$?; timeout 30 " + WEFT_BIN +
                                 "/weft capture --instance " + world->instance().name() + " client tcp port 8080 -c 3 -w " + file +
                                 "; rm -f " + asking + "; wait; exit $status",
                             90);
    EXPECT_EQ(lines.status, 0) << lines.text;
    EXPECT_NE(lines.text.find(" > " + web + ":8080 tcp"), std::string::npos) << lines.text;
    const std::string bytes = MUST(read_file(file));
    EXPECT_EQ(bytes.substr(0, 4), "\x4d\x3c\xb2\xa1");
    EXPECT_GT(bytes.size(), 24u + 3 * (16u + 54u));
}

TEST(Capture, names_what_it_cannot_do) {
    EXPECT_EQ(world->weft("capture nobody -c 1").status, 3);
    const Output filter = world->weft("capture client tcpp");
    EXPECT_EQ(filter.status, 2);
    EXPECT_NE(filter.text.find("\"tcpp\" is none of"), std::string::npos) << filter.text;
    const Output interface = world->weft("capture node-1 -i eth9 -c 1");
    EXPECT_EQ(interface.status, 3);
    EXPECT_NE(interface.text.find("there are: lo"), std::string::npos) << interface.text;
}

TEST(Bundle, has_everything_and_no_secret) {
    ASSERT_TRUE(world
                    ->apply("apiVersion: v1\nkind: Secret\nmetadata: {name: deep}\n"
                            "stringData: {password: correct-horse-battery}\n")
                    .ok());
    const std::string file = world->instance().run_dir() + "/test.tar";
    const Output made = world->weft("bundle " + file);
    EXPECT_EQ(made.status, 0) << made.text;
    const Output names = run("tar -tf " + file);
    ASSERT_TRUE(names.ok()) << names.text;
    for (const char* name : {"/status.json", "/version.json", "/doctor.json", "/drops.json", "/maps.json", "/conntrack.json",
                             "/objects/pods.json", "/objects/secrets.json", "/networks/node-1.txt", "/logs/apiserver.log"})
        EXPECT_NE(names.text.find(name), std::string::npos) << name << " is not in it: " << names.text;
    const std::string bytes = MUST(read_file(file));
    for (const std::string& secret : {std::string("correct-horse-battery"), base64_encode("correct-horse-battery"),
                                     std::string(trim(MUST(read_file(world->instance().state_dir() + "/root.token"))))})
        EXPECT_EQ(bytes.find(secret), std::string::npos) << "a secret is in it";
    EXPECT_NE(bytes.find("(28 bytes)"), std::string::npos) << "its size is";
    world->kubectl("delete secret deep");
}

TEST(Completion, is_a_script_that_bash_reads_and_that_knows_the_verbs) {
    const std::string file = world->instance().run_dir() + "/test-completion";
    ASSERT_TRUE(run(std::string(WEFT_BIN) + "/weft completion bash >" + file).ok());
    const Output words = run("bash -c 'source " + file + "; COMP_WORDS=(weft ca); COMP_CWORD=1; _weft; echo ${COMPREPLY[@]}; "
                             "COMP_WORDS=(weft status --inst); COMP_CWORD=2; _weft; echo ${COMPREPLY[@]}; "
                             "COMP_WORDS=(weft node r); COMP_CWORD=2; _weft; echo ${COMPREPLY[@]}'");
    EXPECT_EQ(words.text, "capture\n--instance\nremove reboot\n");
    EXPECT_EQ(world->weft("completion fish").status, 2);
}

struct Mistake {
    const char* arguments;
    int status;
    const char* words;  // what is wrong, or what to type next
};

TEST(Verbs, a_mistake_is_answered_by_what_to_type_next) {
    const Mistake mistakes[] = {
        {"statsu", 2, "no verb named \"statsu\"; see: weft --help"},
        {"status extra", 2, "\"extra\" is one word too many; see: weft status --help\nexample: weft status"},
        {"node", 2, "what of it? add remove reboot; see: weft node --help"},
        {"vpc show", 2, "NAME is required; see: weft vpc show --help"},
        {"why default/client", 2, "TARGET is required; see: weft why --help"},
        {"exec nowhere -- true", 3, "weft get pods -n default"},
        {"exec client -c nope -- true", 2, "container nope"},
        {"capture client -c 0", 2, "--count"},
        {"capture client port", 2, "port what? for example: port 80"},
        {"get pod nobody", 3, "there are: weft get pod"},
        {"get unicorns", 3, "kubectl api-resources"},
        {"delete pod", 2, "weft get pod, then: weft delete pod NAME"},
        {"logs nobody", 3, "weft get pods -n default"},
        {"vpc show nobody", 3, "weft get vpc"},
        {"route show default/nobody", 3, "weft get vrt"},
        {"conntrack -n nowhere", 3, "there are: node-1"},
        {"status --instance nobody", 3, "weft up --instance nobody"},
        {"down --instance nobody", 0, "there is no instance nobody"},
        {"up --instance nobody --examples /nowhere", 3, "no world.yaml in /nowhere"},
        {"status --instance No_Body", 2, "1 to 12 of a-z and 0-9"},
    };
    for (const Mistake& mistake : mistakes) {
        const Output output = run("WEFT_INSTANCE=" + world->instance().name() + " " + WEFT_BIN + "/weft " + mistake.arguments);
        EXPECT_EQ(output.status, mistake.status) << mistake.arguments << ": " << output.text;
        EXPECT_NE(output.text.find(mistake.words), std::string::npos) << mistake.arguments << ": " << output.text;
        EXPECT_LT(output.text.size(), 600u) << "nobody reads that: " << output.text;
    }
    EXPECT_FALSE(std::filesystem::exists("/run/weft/nobody"));
}

// An interrupted verb ends: signals are for the processes of weft to hold back, not for what a person types.
TEST(Verbs, end_by_an_interrupt) {
    const Output followed = run("timeout -s INT 1 " + std::string(WEFT_BIN) + "/weft drops -f --instance " +
                                    world->instance().name() + " >/dev/null",
                                30);
    EXPECT_EQ(followed.status, 124) << followed.text;
    const Output inside = run("timeout -s INT 1 " + std::string(WEFT_BIN) + "/weft exec --instance " +
                                  world->instance().name() + " node-1 -- sleep 20",
                              15);
    EXPECT_EQ(inside.status, 124) << inside.text;
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
