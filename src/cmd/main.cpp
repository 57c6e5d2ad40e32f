// weft: the multi-call binary. Reads the command line and calls one function; everything else is in the rooms.
#include <CLI/CLI.hpp>
#include <climits>
#include <cstdio>
#include <csignal>
#include <unistd.h>

#include "cli/verbs.h"
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
    cmd::ProcessArgs process;
    std::vector<std::string> files;
    std::string what, name, container;
    std::vector<std::string> rest;
    bool all_namespaces = false, follow = false, purge = false, version = false;
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

void add_json(CLI::App& verb, CommandLine& line) {
    verb.add_option("-o,--output", line.common.output, "json")->check(CLI::IsMember({"json"}));
}

void add_up(CLI::App& app, CommandLine& line) {
    CLI::App* up = app.add_subcommand("up", "start a cloud network on this machine and show that it works");
    add_common(*up, line);
    up->add_option("--examples", line.up.examples, "folder with world.yaml and hello/, applied and proven; none: start only");
    up->add_option("--node", line.up.nodes, "NAME=ZONE[+ZONE...]; may be repeated");
    up->add_option("--dns-upstream", line.up.dns_upstream, "ADDRESS:PORT that answers names outside the VPC; none: refused");
    up->footer("example: weft up --instance demo --node n1=cn-local-a --node n2=cn-local-b");
    up->callback([&line] { line.run = [&line] { return cli::up(line.common, line.up); }; });

    CLI::App* supervise = app.add_subcommand("supervise", "what `up` leaves running")->group("");
    add_common(*supervise, line);
    supervise->add_option("--node", line.up.nodes);
    supervise->add_option("--dns-upstream", line.up.dns_upstream);
    supervise->callback([&line] { line.run = [&line] { return cli::supervise(line.common, line.up); }; });

    CLI::App* down = app.add_subcommand("down", "stop it; its objects are kept");
    add_common(*down, line);
    down->add_flag("--purge", line.purge, "forget its objects too");
    down->callback([&line] { line.run = [&line] { return cli::down(line.common, line.purge); }; });

    CLI::App* status = app.add_subcommand("status", "what runs and whether it is ready");
    add_common(*status, line);
    add_json(*status, line);
    status->callback([&line] { line.run = [&line] { return cli::status(line.common); }; });

    CLI::App* drops = app.add_subcommand("drops", "packets dropped by the data plane, by hook and reason");
    add_common(*drops, line);
    add_json(*drops, line);
    drops->add_flag("-f,--follow", line.follow, "go on, one look a second");
    drops->callback([&line] { line.run = [&line] { return cli::drops(line.common, line.follow); }; });
}

void add_questions(CLI::App& app, CommandLine& line) {
    CLI::App* conntrack = app.add_subcommand("conntrack", "the connections that the data plane remembers");
    add_common(*conntrack, line);
    conntrack->add_option("-n,--node", line.process.node, "only this node's");
    conntrack->add_option("-o,--output", line.common.output, "wide, json")->check(CLI::IsMember({"wide", "json"}));
    conntrack->add_option("ADDRESS", line.name, "only those of this address");
    conntrack->footer("example: weft conntrack 172.21.0.20");
    conntrack->callback([&line] { line.run = [&line] { return cli::conntrack(line.common, line.process.node, line.name); }; });

    CLI::App* why = app.add_subcommand("why", "what would become of a packet from a pod; nothing is sent");
    add_cluster(*why, line);
    add_json(*why, line);
    why->add_option("POD", line.name, "NAMESPACE/POD, or POD with -n")->required();
    why->add_option("TARGET", line.what, "ADDRESS:PORT, with /udp or ADDRESS/icmp for those")->required();
    why->footer("example: weft why default/client 172.21.0.20:80     exit code 9: it would be dropped");
    why->callback([&line] { line.run = [&line] { return cli::why(line.common, line.name, line.what); }; });

    CLI::App* doctor = app.add_subcommand("doctor", "can a weft run on this machine, and what would surprise you");
    add_common(*doctor, line);
    doctor->callback([&line] { line.run = [&line] { return cli::doctor(line.common, line.up.self_binary); }; });

    CLI::App* version = app.add_subcommand("version", "of weft, of its data plane and of the kernel");
    add_common(*version, line);
    add_json(*version, line);
    version->callback([&line] { line.run = [&line] { return cli::version(line.common, WEFT_VERSION); }; });
}

void add_objects(CLI::App& app, CommandLine& line) {
    CLI::App* apply = app.add_subcommand("apply", "create or change objects from manifests");
    add_cluster(*apply, line);
    apply->add_option("-f,--filename", line.files, "file, folder or -")->required();
    apply->callback([&line] { line.run = [&line] { return cli::apply(line.common, line.files); }; });

    CLI::App* get = app.add_subcommand("get", "show objects");
    add_cluster(*get, line);
    get->add_option("WHAT", line.what, "kind, or several with commas: pods,svc")->required();
    get->add_option("NAME", line.name);
    get->add_option("-o,--output", line.common.output, "wide, json, yaml, name")->check(CLI::IsMember({"wide", "json", "yaml", "name"}));
    get->add_flag("-A,--all-namespaces", line.all_namespaces);
    get->callback([&line] { line.run = [&line] { return cli::get(line.common, line.what, line.name, line.all_namespaces); }; });

    CLI::App* remove = app.add_subcommand("delete", "delete objects");
    add_cluster(*remove, line);
    remove->add_option("-f,--filename", line.files, "file, folder or -");
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
    process->add_option("--cni", line.process.cni_binary);
    process->add_option("--dns-upstream", line.process.dns_upstream);
    process->callback([&line, run] { line.run = [&line, run] { return run(line.process); }; });
}

int run_command_line(int argc, char** argv) {
    CommandLine line;
    line.up.self_binary = line.process.self_binary = self_path();
    CLI::App app{"weft: a cloud network you can own", "weft"};
    app.require_subcommand(0, 1);
    app.add_flag("--version", line.version, "print the version");
    add_up(app, line);
    add_questions(app, line);
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
    cmd::block_stop_signals();
    return run_command_line(argc, argv);
}
