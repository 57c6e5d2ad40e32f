// weft: the multi-call binary. Reads the command line and calls one function; everything else is in the rooms.
#include <CLI/CLI.hpp>
#include <climits>
#include <cstdio>
#include <csignal>
#include <unistd.h>

#include "base/stop_signals.h"
#include "cli/bundle.h"
#include "cli/capture.h"
#include "cli/ipam.h"
#include "cli/lab.h"
#include "cli/network.h"
#include "cli/node.h"
#include "cli/verbs.h"
#include "cmd/completion.h"
#include "cmd/processes.h"
#include "runtime/main.h"

using namespace weft;

namespace {

std::string self_path() {
    char path[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    return n > 0 ? std::string(path, size_t(n)) : "weft";
}

// What the verbs fill while CLI11 parses; `run` is the chosen verb.
struct CommandLine {
    cli::Common common;
    cli::UpArgs up;
    cli::LabArgs lab;
    cli::NodeArgs node;
    cli::CaptureArgs capture;
    cmd::ProcessArgs process;
    std::vector<std::string> files;
    std::string what, name, container;
    std::vector<std::string> rest;
    bool all_namespaces = false, follow = false, purge = false, repair = false, version = false;
    int64_t tail = -1;
    std::function<int()> run;
};

void add_common(CLI::App& verb, CommandLine& line) {
    verb.add_option("--instance", line.common.instance, "which weft of this machine; default $WEFT_INSTANCE, else the one that runs");
}

void add_cluster(CLI::App& verb, CommandLine& line) {
    add_common(verb, line);
    verb.add_option("--kubeconfig", line.common.kubeconfig, "default $KUBECONFIG, else the instance's own");
    verb.add_option("-n,--namespace", line.common.ns, "namespace")->capture_default_str();
}

void add_output(CLI::App& verb, CommandLine& line) {
    verb.add_option("-o,--output", line.common.output, "table, wide, json or yaml")
        ->check(CLI::IsMember({"table", "wide", "json", "yaml"}));
}

void add_dns(CLI::App& verb, protocol::DnsOptions& dns) {
    verb.add_option("--dns-upstream", dns.upstream, "ADDRESS[:PORT],... that answer names outside the VPC; none: refused");
    verb.add_option("--dns-policy", dns.policy, "which of them is asked first: sequential, round-robin or random")
        ->check(CLI::IsMember({"sequential", "round-robin", "random"}))->capture_default_str();
    verb.add_option("--dns-ttl", dns.ttl_s, "seconds that answers in the cluster's zone may be kept")
        ->check(CLI::Range(0u, protocol::DnsOptions::ttl_max_s))->capture_default_str();
    verb.add_option("--dns-rate-limit", dns.answers_per_second, "answers a second over UDP to one client; 0: no limit")
        ->capture_default_str();
}

void add_up(CLI::App& app, CommandLine& line) {
    CLI::App* up = app.add_subcommand("up", "start a cloud network on this machine and show that it works");
    add_common(*up, line);
    up->add_option("--examples", line.up.examples, "folder with world.yaml and hello/, applied and proven; none: start only");
    up->add_option("--node", line.up.nodes, "NAME=ZONE[+ZONE...]; may be repeated");
    add_dns(*up, line.up.dns);
    up->footer("example: weft up --instance demo --node n1=cn-local-a --node n2=cn-local-b");
    up->callback([&line] { line.run = [&line] { return cli::up(line.common, line.up); }; });

    CLI::App* lab = app.add_subcommand("lab", "the same with several nodes: a small cluster on this machine");
    add_common(*lab, line);
    lab->add_option("--nodes", line.lab.nodes, "n1, n2, ...")->capture_default_str();
    lab->add_option("--zones", line.lab.zones, "cn-local-a, cn-local-b, ...: the nodes in turn")->capture_default_str();
    lab->add_option("--examples", line.up.examples, "folder with world.yaml and hello/, applied and proven; none: start only");
    add_dns(*lab, line.up.dns);
    lab->footer("example: weft lab --nodes 3 --zones 2     it ends like any other: weft down");
    lab->callback([&line] { line.run = [&line] { return cli::lab(line.common, line.up, line.lab); }; });

    CLI::App* supervise = app.add_subcommand("supervise", "what `up` leaves running")->group("");
    add_common(*supervise, line);
    supervise->add_option("--node", line.up.nodes);
    add_dns(*supervise, line.up.dns);
    supervise->callback([&line] {
        line.run = [&line] {
            block_stop_signals();
            return cli::supervise(line.common, line.up);
        };
    });

    CLI::App* down = app.add_subcommand("down", "stop it; its objects are kept");
    add_common(*down, line);
    down->add_flag("--purge", line.purge, "forget its objects too");
    down->footer("example: weft down --instance demo --purge");
    down->callback([&line] { line.run = [&line] { return cli::down(line.common, line.purge); }; });

    CLI::App* status = app.add_subcommand("status", "what runs and whether it is ready");
    add_common(*status, line);
    add_output(*status, line);
    status->footer("example: weft status -o json     exit code 7: something is not ready");
    status->callback([&line] { line.run = [&line] { return cli::status(line.common); }; });

    CLI::App* drops = app.add_subcommand("drops", "packets dropped by the data plane, by hook and reason");
    add_common(*drops, line);
    add_output(*drops, line);
    drops->add_flag("-f,--follow", line.follow, "go on, one look a second");
    drops->footer("example: weft drops -f     what each reason means: docs/operate/drops.md");
    drops->callback([&line] { line.run = [&line] { return cli::drops(line.common, line.follow); }; });
}

void add_node(CLI::App& app, CommandLine& line) {
    CLI::App* node = app.add_subcommand("node", "nodes that join and leave while all else runs");
    node->require_subcommand(1);
    CLI::App* add = node->add_subcommand("add", "one more node joins");
    add_common(*add, line);
    add->add_option("NODE", line.node.node, "NAME=ZONE[+ZONE...]")->required();
    add->footer("example: weft node add n4=cn-local-b");
    add->callback([&line] { line.run = [&line] { return cli::node_add(line.common, line.up, line.node); }; });

    CLI::App* remove = node->add_subcommand("remove", "a node leaves: its pods, public addresses and leases first");
    add_common(*remove, line);
    remove->add_option("NODE", line.node.node)->required();
    remove->add_flag("--force", line.node.force, "pods that nobody makes anew elsewhere end too; no grace periods");
    remove->add_option("--wait", line.node.wait_s, "seconds for its pods to end")->capture_default_str();
    remove->footer("example: weft node remove n3     pods without a controller stop it: they would be lost");
    remove->callback([&line] { line.run = [&line] { return cli::node_remove(line.common, line.up, line.node); }; });

    CLI::App* reboot = node->add_subcommand("reboot", "a node falls over without a word, and starts again");
    add_common(*reboot, line);
    reboot->add_option("NODE", line.node.node)->required();
    reboot->footer("example: weft node reboot n2     its pods start again with it");
    reboot->callback([&line] { line.run = [&line] { return cli::node_reboot(line.common, line.up, line.node); }; });
}

void add_questions(CLI::App& app, CommandLine& line) {
    CLI::App* conntrack = app.add_subcommand("conntrack", "the connections that the data plane remembers");
    add_common(*conntrack, line);
    conntrack->add_option("-n,--node", line.process.node, "only this node's");
    add_output(*conntrack, line);
    conntrack->add_option("ADDRESS", line.name, "only those of this address");
    conntrack->footer("example: weft conntrack 172.21.0.20");
    conntrack->callback([&line] { line.run = [&line] { return cli::conntrack(line.common, line.process.node, line.name); }; });

    CLI::App* why = app.add_subcommand("why", "what would become of a packet from a pod; nothing is sent");
    add_cluster(*why, line);
    add_output(*why, line);
    why->add_option("POD", line.name, "NAMESPACE/POD, or POD with -n")->required();
    why->add_option("TARGET", line.what, "ADDRESS:PORT, with /udp or ADDRESS/icmp for those")->required();
    why->footer("example: weft why default/client 172.21.0.20:80     exit code 9: it would be dropped");
    why->callback([&line] { line.run = [&line] { return cli::why(line.common, line.name, line.what); }; });

    CLI::App* doctor = app.add_subcommand("doctor", "can a weft run on this machine, and what would surprise you");
    add_common(*doctor, line);
    add_output(*doctor, line);
    doctor->footer("example: weft doctor     exit code 0: a weft can run here");
    doctor->callback([&line] { line.run = [&line] { return cli::doctor(line.common, line.up.self_binary); }; });

    CLI::App* capture = app.add_subcommand("capture", "the packets of a pod or of a node, as lines or as a pcap file");
    add_cluster(*capture, line);
    capture->add_option("WHERE", line.capture.where, "NAMESPACE/POD, POD, a node's name, internet, fabric")->required();
    capture->add_option("FILTER", line.capture.filter,
                        "tcp, udp, icmp, arp, ip, ip6, host ADDRESS, net PREFIX, port N; `not` before one; each must hold");
    capture->add_option("-i,--interface", line.capture.interface, "only this interface; default: all of them");
    capture->add_option("-w,--write", line.capture.file, "pcap into this file; -: to stdout");
    capture->add_option("-c,--count", line.capture.count, "end after so many packets")->check(CLI::Range(1, INT_MAX));
    capture->add_option("--seconds", line.capture.seconds, "end after so many seconds")->check(CLI::Range(1, INT_MAX));
    capture->footer("examples: weft capture default/client tcp port 80\n"
                    "          weft capture client -w - | tcpdump -nr -");
    capture->callback([&line] { line.run = [&line] { return cli::capture(line.common, line.capture); }; });

    CLI::App* bundle = app.add_subcommand("bundle", "everything that somebody who helps asks for, in one tar file");
    add_cluster(*bundle, line);
    bundle->add_option("FILE", line.name, "default weft-INSTANCE-TIME.tar; -: to stdout");
    bundle->footer("example: weft bundle     values of Secrets, tokens and keys stay here");
    bundle->callback([&line] {
        line.run = [&line] { return cli::bundle(line.common, line.name, line.up.self_binary, WEFT_VERSION); };
    });

    CLI::App* completion = app.add_subcommand("completion", "a script that completes weft's words in bash");
    completion->add_option("SHELL", line.name, "bash")->required()->check(CLI::IsMember({"bash"}));
    completion->footer("example: source <(weft completion bash)");
    completion->callback([&line, &app] {
        line.run = [&app] {
            std::fputs(cmd::bash_completion(app).c_str(), stdout);
            return 0;
        };
    });

    CLI::App* version = app.add_subcommand("version", "of weft, of its data plane and of the kernel");
    add_common(*version, line);
    add_output(*version, line);
    version->footer("example: weft version -o json");
    version->callback([&line] { line.run = [&line] { return cli::version(line.common, WEFT_VERSION); }; });
}

void add_ipam(CLI::App& app, CommandLine& line) {
    CLI::App* ipam = app.add_subcommand("ipam", "addresses: who has which, and whether that is so everywhere");
    ipam->require_subcommand(1);
    CLI::App* check = ipam->add_subcommand("check", "compare the API, the nodes' agents and their kernels");
    add_cluster(*check, line);
    add_output(*check, line);
    check->add_flag("--repair", line.repair, "mend what can be mended without a person's judgement, and look again");
    check->footer("example: weft ipam check     exit code 1: an address is double, lost, orphaned or wrongly recorded");
    check->callback([&line] { line.run = [&line] { return cli::ipam_check(line.common, line.repair); }; });
}

void add_network(CLI::App& app, CommandLine& line) {
    CLI::App* vpc = app.add_subcommand("vpc", "a VPC with all that is in it");
    vpc->require_subcommand(1);
    CLI::App* show_vpc = vpc->add_subcommand("show", "blocks, vSwitches, route tables, peerings, namespaces");
    add_cluster(*show_vpc, line);
    add_output(*show_vpc, line);
    show_vpc->add_option("NAME", line.name)->required();
    show_vpc->footer("example: weft vpc show vpc-demo");
    show_vpc->callback([&line] { line.run = [&line] { return cli::vpc_show(line.common, line.name); }; });

    CLI::App* route = app.add_subcommand("route", "where a pod's packets go");
    route->require_subcommand(1);
    CLI::App* show_route = route->add_subcommand("show", "the routes of a table, or those that a pod's packets meet");
    add_cluster(*show_route, line);
    add_output(*show_route, line);
    show_route->add_option("WHAT", line.name, "NAMESPACE/POD, a RouteTable, or a pod with -n")->required();
    show_route->footer("example: weft route show default/web");
    show_route->callback([&line] { line.run = [&line] { return cli::route_show(line.common, line.name); }; });
}

void add_objects(CLI::App& app, CommandLine& line) {
    CLI::App* apply = app.add_subcommand("apply", "create or change objects from manifests");
    add_cluster(*apply, line);
    apply->add_option("-f,--filename", line.files, "file, folder or -")->required();
    apply->footer("example: weft apply -f examples/hello");
    apply->callback([&line] { line.run = [&line] { return cli::apply(line.common, line.files); }; });

    CLI::App* get = app.add_subcommand("get", "show objects");
    add_cluster(*get, line);
    get->add_option("WHAT", line.what, "kind, or several with commas: pods,svc")->required();
    get->add_option("NAME", line.name);
    get->add_option("-o,--output", line.common.output, "table, wide, json, yaml or name")
        ->check(CLI::IsMember({"table", "wide", "json", "yaml", "name"}));
    get->footer("example: weft get pods,svc -A -o wide");
    get->add_flag("-A,--all-namespaces", line.all_namespaces);
    get->callback([&line] { line.run = [&line] { return cli::get(line.common, line.what, line.name, line.all_namespaces); }; });

    CLI::App* remove = app.add_subcommand("delete", "delete objects");
    add_cluster(*remove, line);
    remove->add_option("-f,--filename", line.files, "file, folder or -");
    remove->footer("example: weft delete pod web-1 -n default");
    remove->add_option("WHAT", line.what);
    remove->add_option("NAME", line.name);
    remove->callback([&line] {
        if (line.files.empty() == line.what.empty()) throw CLI::ValidationError("delete", "give either -f FILE or WHAT NAME");
        line.run = [&line] { return cli::remove(line.common, line.files, line.what, line.name); };
    });

    CLI::App* logs = app.add_subcommand("logs", "what a pod's program printed");
    add_cluster(*logs, line);
    logs->add_option("POD", line.name)->required();
    logs->add_option("-c,--container", line.container);
    logs->add_flag("-f,--follow", line.follow);
    logs->add_option("--tail", line.tail, "only the last lines");
    logs->footer("example: weft logs -f client --tail 20");
    logs->callback([&line] {
        line.run = [&line] { return cli::logs(line.common, line.name, line.container, line.follow, line.tail); };
    });

    CLI::App* exec = app.add_subcommand("exec", "run a program in a place (internet, a node) or in a pod");
    add_cluster(*exec, line);
    exec->add_option("-c,--container", line.container);
    exec->add_option("WHERE", line.name, "internet, fabric, a node's name, else a pod")->required();
    exec->add_option("COMMAND", line.rest)->required();
    exec->footer("example: weft exec internet -- curl -s http://203.0.113.64/");
    exec->callback([&line] {
        line.run = [&line] { return cli::exec(line.common, line.name, line.container, line.rest); };
    });
}

void add_process(CLI::App& app, CommandLine& line, const char* name, int (*run)(const cmd::ProcessArgs&)) {
    CLI::App* process = app.add_subcommand(name, "one of weft's processes")->group("processes");
    process->add_option("--instance", line.process.instance)->required();
    process->add_option("--node", line.process.node);
    process->add_option("--zones", line.process.zones);
    process->add_flag("--force", line.process.force);
    process->add_option("--cni", line.process.cni_binary);
    process->add_option("--cni-folder", line.process.cni_folder);
    add_dns(*process, line.process.dns);
    process->callback([&line, run] {
        line.run = [&line, run] {
            block_stop_signals();
            return run(line.process);
        };
    });
}

// "weft: what is wrong; what to type next". The verb is the one that the words before the mistake name.
std::string words_of_mistake(const CLI::App* app, const CLI::Error& error) {
    std::string verb = "weft";
    const CLI::App* at = app;
    while (!at->get_subcommands().empty()) {
        at = at->get_subcommands().front();
        verb += " " + at->get_name();
    }
    const auto* extras = dynamic_cast<const CLI::ExtrasError*>(&error);
    std::string what = error.what();
    if (extras != nullptr && !at->remaining().empty())
        what = at == app ? "no verb named \"" + at->remaining().front() + "\""
                         : "\"" + at->remaining().front() + "\" is one word too many";
    else if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && what == "A subcommand is required") {
        what = "what of it?";
        for (const CLI::App* sub : at->get_subcommands([](const CLI::App*) { return true; })) what += " " + sub->get_name();
    }
    const std::string example = at->get_footer().empty() ? "" : at->get_footer() + "\n";
    return "weft: " + what + "; see: " + verb + " --help\n" + example;
}

int run_command_line(int argc, char** argv) {
    CommandLine line;
    line.up.self_binary = line.process.self_binary = self_path();
    CLI::App app{"weft: a cloud network you can own", "weft"};
    app.require_subcommand(0, 1);
    app.add_flag("--version", line.version, "print the version");
    app.failure_message(words_of_mistake);
    add_up(app, line);
    add_node(app, line);
    add_questions(app, line);
    add_ipam(app, line);
    add_network(app, line);
    add_objects(app, line);
    add_process(app, line, "apiserver", cmd::apiserver);
    add_process(app, line, "controller", cmd::controller);
    add_process(app, line, "agent", cmd::agent);
    add_process(app, line, "keeper", cmd::keeper);
    add_process(app, line, "runtime", cmd::runtime);
    add_process(app, line, "alb", cmd::alb);
    add_process(app, line, "dns", cmd::dns);
    try {  // CLI11's border: it reports by exception
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (line.version) {
        std::puts("weft " WEFT_VERSION);
        return 0;
    }
    if (line.run) return line.run();
    std::fputs(app.help().c_str(), stdout);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    // Not ours to parse: a pod's shim and the echo image take their own arguments.
    const std::string_view verb = argc > 1 ? argv[1] : "";
    if (verb == "shim") return runtime::shim_main(argc - 1, argv + 1);
    if (verb == "echo") return runtime::echo_main(argc - 1, argv + 1);
    return run_command_line(argc, argv);
}
