#include "cmd/processes.h"

#include <linux/capability.h>
#include <sys/stat.h>

#include <cstdio>
#include <stop_token>
#include <thread>

#include "agent/main.h"
#include "alb/main.h"
#include "apiserver/main.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/stop_signals.h"
#include "base/strings.h"
#include "cli/context.h"
#include "cmd/capabilities.h"
#include "controller/main.h"
#include "dns/main.h"
#include "keeper/main.h"
#include "runtime/main.h"
#include "worker/worker.h"

namespace weft::cmd {

static int run_until_signal(const std::function<Status(std::stop_token)>& run) {
    const Status status = run(stop_on_signals());
    if (status) return 0;
    log::error("process cannot go on", {{"error", status.error().message}});
    return cli::exit_code(status.error().code);
}

// The API server writes the token files when it starts, which may be after us.
static Result<kube::Endpoint> component_endpoint(const Instance& instance, const std::string& component, std::stop_token stop) {
    kube::Endpoint endpoint;
    endpoint.unix_socket = instance.api_socket();
    endpoint.user_agent = "weft-" + component;
    for (;;) {
        if (auto token = read_file(instance.token_file(component))) {
            endpoint.token = std::string(trim(*token));
            return endpoint;
        }
        if (stop.stop_requested()) return fail(Code::unavailable, "stopped before the API server was there");
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

// What a process may still do (design.md §3). Given up before the first thread starts: rights are each thread's own.
using Rights = std::initializer_list<int>;
static constexpr Rights no_rights = {};

static Result<Instance> begin(const ProcessArgs& args, std::string_view process, Rights rights) {
    log::set_process(process, args.node);
    TRY(keep_only(rights));
    return Instance::parse(args.instance);
}

int apiserver(const ProcessArgs& args) {
    umask(077);  // the store holds Secrets
    const auto instance = begin(args, "apiserver", no_rights);
    if (!instance) return cli::report(instance.error());
    return run_until_signal([&](std::stop_token stop) { return apiserver::run({.instance = *instance, .force = args.force}, stop); });
}

int controller(const ProcessArgs& args) {
    const auto instance = begin(args, "controller", no_rights);
    if (!instance) return cli::report(instance.error());
    return run_until_signal([&](std::stop_token stop) -> Status {
        const kube::Endpoint api = TRY(component_endpoint(*instance, "controller", stop));
        return controller::run({.instance = *instance, .api = api}, stop);
    });
}

int agent(const ProcessArgs& args) {
    const auto instance = begin(args, "agent", {CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN, CAP_DAC_OVERRIDE});
    if (!instance) return cli::report(instance.error());
    return run_until_signal([&](std::stop_token stop) -> Status {
        const kube::Endpoint api = TRY(component_endpoint(*instance, "agent", stop));
        return agent::run({.instance = *instance, .node = args.node, .api = api, .cni_folder = args.cni_folder}, stop);
    });
}

int keeper(const ProcessArgs& args) {
    const auto instance = begin(args, "keeper", {CAP_SYS_ADMIN, CAP_SETPCAP});
    if (!instance) return cli::report(instance.error());
    return run_until_signal([&](std::stop_token stop) {
        return keeper::run({.instance = *instance, .node = args.node, .self_binary = args.self_binary,
                            .dns = args.dns},
                           stop);
    });
}

int runtime(const ProcessArgs& args) {
    log::set_process("runtime", args.node);
    const auto instance = Instance::parse(args.instance);
    if (!instance) return cli::report(instance.error());
    return run_until_signal([&](std::stop_token stop) -> Status {
        const kube::Endpoint api = TRY(component_endpoint(*instance, "runtime", stop));
        return runtime::run({.instance = *instance, .node = args.node, .zone = args.zones, .cni_binary = args.cni_binary,
                             .self_binary = args.self_binary, .api = api},
                            stop);
    });
}

int alb(const ProcessArgs& args) {
    log::set_process("alb", args.node);
    const auto instance = Instance::parse(args.instance);
    if (!instance) return cli::report(instance.error());
    return run_until_signal([&](std::stop_token stop) -> Status {
        worker::Start start = TRY(worker::start("alb"));
        return alb::run(std::move(start), {.health_socket = instance->node_run_dir(args.node) + "/alb.health.sock"}, stop);
    });
}

int dns(const ProcessArgs& args) {
    log::set_process("dns", args.node);
    const auto instance = Instance::parse(args.instance);
    if (!instance) return cli::report(instance.error());
    return run_until_signal([&](std::stop_token stop) -> Status {
        worker::Start start = TRY(worker::start("dns"));
        return dns::run(std::move(start),
                        {.health_socket = instance->node_run_dir(args.node) + "/dns.health.sock", .dns = args.dns}, stop);
    });
}

}  // namespace weft::cmd
