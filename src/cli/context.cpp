#include "cli/context.h"

#include <dirent.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "standalone/process.h"
#include "standalone/supervisor.h"

namespace weft::cli {

std::vector<std::string> running_instances() {
    std::vector<std::string> names;
    DIR* folder = opendir("/run/weft");
    if (folder == nullptr) return names;
    while (const dirent* entry = readdir(folder)) {
        const auto instance = Instance::parse(entry->d_name);
        if (instance && standalone::living_pid(standalone::supervisor_pid_file(*instance)) != 0)
            names.push_back(instance->name());
    }
    closedir(folder);
    return names;
}

Result<Instance> find_instance(const Common& common) {
    if (!common.instance.empty()) return Instance::parse(common.instance);
    if (const char* wish = std::getenv("WEFT_INSTANCE"); wish != nullptr && *wish != 0) return Instance::parse(wish);
    const auto running = running_instances();
    if (running.size() == 1) return Instance::parse(running[0]);
    if (running.empty()) return fail(Code::not_found, "nothing runs here; start it with: weft up");
    std::string names;
    for (const std::string& name : running) names += " " + name;
    return fail(Code::invalid, "several instances run; say which with --instance:" + names);
}

Result<kube::Endpoint> find_endpoint(const Common& common) {
    if (!common.kubeconfig.empty()) return kube::read_kubeconfig(common.kubeconfig);
    if (common.instance.empty())
        if (const char* path = std::getenv("KUBECONFIG"); path != nullptr && *path != 0) return kube::read_kubeconfig(path);
    const Instance instance = TRY(find_instance(common));
    return TRY_IN("is it up? (weft up)", kube::read_kubeconfig(instance.kubeconfig()));
}

int exit_code(Code code) {
    switch (code) {
        case Code::invalid: return 2;
        case Code::not_found: return 3;
        case Code::already_exists:
        case Code::conflict:
        case Code::gone: return 4;
        case Code::denied: return 5;
        case Code::timeout: return 6;
        case Code::unavailable: return 7;
        case Code::exhausted: return 8;
        case Code::io: return 1;
    }
    return 1;
}

int report(const Error& error) {
    std::fprintf(stderr, "weft: %s\n", error.message.c_str());
    return exit_code(error.code);
}

}  // namespace weft::cli
