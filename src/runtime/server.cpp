#include "runtime/server.h"

#include <poll.h>
#include <sys/inotify.h>

#include "base/strings.h"
#include "http/url.h"
#include "runtime/exec.h"
#include "runtime/log_reader.h"

namespace weft::runtime {

namespace {

constexpr int follow_wait_ms = 1000;  // inotify wakes sooner; this bounds how late an end is noticed

void answer_error(http::Exchange& exchange, int status, std::string_view reason, std::string_view message) {
    const json::Object body{{"kind", "Status"},    {"apiVersion", "v1"}, {"metadata", json::Object{}},
                            {"status", "Failure"}, {"message", message}, {"reason", reason},
                            {"code", status}};
    (void)exchange.respond(status, "application/json", json::serialize(body));
}

struct Target {
    PodView pod;
    ContainerView container;
};

class PodDoor {
public:
    PodDoor(const Options& options, const SandboxMaker& sandboxes, const Published<PodViews>& views)
        : options_(options), sandboxes_(sandboxes), views_(views) {}

    void serve(http::Request& request, http::Exchange& exchange) {
        const std::vector<std::string_view> parts = split(request.path, '/');
        const std::optional<http::Query> query = http::Query::parse(request.query);
        if (!query) return answer_error(exchange, 400, "BadRequest", "malformed query");
        if (parts.size() != 5 || (parts[1] != "log" && parts[1] != "exec"))
            return answer_error(exchange, 404, "NotFound",
                                "the path must be /log or /exec, then namespace, pod and container");
        const std::string ns(parts[2]), pod(parts[3]), name(parts[4]);
        const std::optional<Target> target = find({ns, pod}, name, exchange);
        if (!target) return;
        if (parts[1] == "log")
            log({ns, pod}, *target, *query, exchange);
        else
            exec(*target, *query, request, exchange);
    }

private:
    std::optional<Target> find(const kube::ObjectKey& key, const std::string& name, http::Exchange& exchange) const {
        const std::shared_ptr<const PodViews> views = views_.get();
        const auto pod = views->find(key);
        if (pod == views->end()) {
            answer_error(exchange, 404, "NotFound",
                         fmt::format("pods \"{}\" not found on node {}", key.name, options_.node));
            return std::nullopt;
        }
        for (const ContainerView& container : pod->second.containers)
            if (container.name == name) return Target{pod->second, container};
        answer_error(exchange, 400, "BadRequest", fmt::format("container {} is not valid for pod {}", name, key.name));
        return std::nullopt;
    }

    // Whether this attempt of the container still writes.
    bool writes_on(const kube::ObjectKey& key, const Target& target) const {
        const std::shared_ptr<const PodViews> views = views_.get();
        const auto pod = views->find(key);
        if (pod == views->end() || pod->second.uid != target.pod.uid) return false;
        for (const ContainerView& container : pod->second.containers)
            if (container.name == target.container.name)
                return container.attempt == target.container.attempt && (container.running || !container.begun);
        return false;
    }

    void log(const kube::ObjectKey& key, const Target& target, const http::Query& query,
             http::Exchange& exchange) const {
        const Result<LogOptions> options = parse_log_options(query);
        if (!options) return answer_error(exchange, 422, "Invalid", options.error().message);
        const ContainerView& container = target.container;
        unsigned attempt = container.attempt;
        if (options->previous && attempt == 0)
            return answer_error(
                exchange, 400, "BadRequest",
                fmt::format("previous terminated container \"{}\" in pod \"{}\" not found", container.name, key.name));
        // Between two attempts the last one's words are what there is to read.
        if (options->previous || (!container.begun && attempt > 0)) attempt--;
        if (!container.begun && container.attempt == 0 && !options->follow)
            return answer_error(
                exchange, 400, "BadRequest",
                fmt::format("container \"{}\" in pod \"{}\" is waiting to start", container.name, key.name));
        const std::string path = sandboxes_.log_file(target.pod.uid, container.name, attempt);
        const bool current = attempt == container.attempt;
        const Fd notes(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
        const std::string folder = path.substr(0, path.rfind('/'));
        if (notes) (void)inotify_add_watch(notes.get(), folder.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO);
        const auto more = [&] {
            if (!current || exchange.stop().stop_requested() || exchange.client_gone()) return false;
            if (!writes_on(key, target)) return false;
            pollfd polls[] = {{notes.get(), POLLIN, 0}, {exchange.fd(), POLLRDHUP, 0}};
            (void)::poll(polls, 2, follow_wait_ms);
            char drop[4096];
            while (::read(notes.get(), drop, sizeof drop) > 0) {}
            return true;
        };
        http::ResponseHead head;
        head.headers.add("Content-Type", "text/plain");
        if (!exchange.start(std::move(head))) return;
        (void)read_log(path, *options, [&](std::string_view bytes) { return exchange.write(bytes).has_value(); }, more);
        (void)exchange.finish();
    }

    void exec(const Target& target, const http::Query& query, http::Request& request, http::Exchange& exchange) const {
        const Result<ExecOptions> options = parse_exec_options(query);
        if (!options) return answer_error(exchange, 400, "BadRequest", options.error().message);
        if (!target.container.running)
            return answer_error(exchange, 400, "BadRequest",
                                fmt::format("container {} is not running", target.container.name));
        if (const Status upgrade = http::check_upgrade(request.head); !upgrade)
            return answer_error(exchange, 400, "BadRequest", "unable to upgrade: missing upgrade headers in request");
        std::string_view chosen;
        for (const std::string_view offered : http::offered_subprotocols(request.head))
            if (chosen.empty() && (offered == "v5.channel.k8s.io" || offered == "v4.channel.k8s.io")) chosen = offered;
        if (chosen.empty())
            return answer_error(exchange, 403, "Forbidden",
                                "no common subprotocol; offered here: v5.channel.k8s.io, v4.channel.k8s.io");

        const Result<std::string> text = read_file(sandboxes_.plan_file(target.pod.uid, target.container.name));
        Result<protocol::runtime::Launch> plan = text ? protocol::runtime::decode_launch(*text) : fail(text.error());
        if (!plan) return answer_error(exchange, 500, "InternalError", plan.error().message);
        plan->argv = options->command;
        if (options->tty) plan->environment.push_back("TERM=xterm");
        const Result<io::Stream*> stream = exchange.take_over(http::upgrade_response(request.head, chosen));
        if (!stream) return;
        const std::stop_callback hang_up(exchange.stop(), [&] { (*stream)->shutdown(); });
        run_exec({options_.self_binary, std::move(*plan), target.container.pid, target.container.pid_started}, *options,
                 **stream);
    }

    const Options options_;
    const SandboxMaker& sandboxes_;
    const Published<PodViews>& views_;
};

}  // namespace

Result<std::unique_ptr<http::Server>> pod_server(const Options& options, const SandboxMaker& sandboxes,
                                                 const Published<PodViews>& views) {
    const auto door = std::make_shared<PodDoor>(options, sandboxes, views);
    http::ServerOptions server_options;
    server_options.name = "runtime";
    std::unique_ptr<http::Server> server = http::Server::create(
        server_options, [door](http::Request& request, http::Exchange& exchange) { door->serve(request, exchange); });
    TRY(server->listen_unix(options.instance.runtime_socket(options.node)));
    return server;
}

}  // namespace weft::runtime
