// Probe: one question to a container, from inside its pod's network namespace, and the counting that turns answers into
// a verdict. ProbeRun is pure (time is handed in); ask() blocks at most its timeout. Kinds: httpGet (200..399 is
// success), tcpSocket (a connection is), exec (exit code 0), grpc (SERVING). Lifecycle hooks ask the same way, and
// sleep. Source: spec/kubernetes.md §11; Kubernetes' defaults.
#pragma once
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace weft::runtime {

struct ProbeQuestion {
    enum class Kind : uint8_t { http, tcp, exec, grpc, sleep };
    Kind kind = Kind::tcp;
    bool any_status = false;           // http: an answer is enough (hooks)
    std::vector<std::string> command;  // exec
    std::string service;               // grpc
    Duration pause{};                  // sleep: nobody is asked
    bool tls = false;
    std::string host;  // "" = the pod's address
    uint16_t port = 0;
    std::string path = "/";
    std::vector<std::pair<std::string, std::string>> headers;
    Duration timeout = std::chrono::seconds(1);
};

struct ProbeConfig {
    ProbeQuestion question;
    Duration initial_delay{};
    Duration period = std::chrono::seconds(10);
    unsigned success_threshold = 1;
    unsigned failure_threshold = 3;
    std::optional<Duration> grace;  // terminationGracePeriodSeconds
};

// `container` resolves named ports. Errors name the field.
Result<ProbeConfig> parse_probe(const json::Value& probe, const json::Value& container);
// lifecycle.preStop or postStart.
Result<ProbeQuestion> parse_hook(const json::Value& hook, const json::Value& container);

// Who is asked.
struct ProbeTarget {
    std::string pod_ip, netns_path;
    std::string self_binary, plan_path;  // exec: `weft shim --exec`, the container's plan on disk
    int pid = 0;
    uint64_t pid_started = 0;
};

Status ask(const ProbeQuestion& question, const ProbeTarget& target, std::stop_token stop = {});

class ProbeRun {
public:
    static constexpr Duration eager_first = std::chrono::milliseconds(50);

    // `eager`: until the first success, and within one period of the start, a "no" is asked again soon and does not
    // count: a program that needs a moment to listen is not held up for a whole period.
    explicit ProbeRun(ProbeConfig config, bool eager = false) : config_(std::move(config)), eager_(eager) {}

    const ProbeConfig& config() const { return config_; }
    void start(MonotonicTime now);  // the container has started (or, after a startup probe, may be asked)
    bool due(MonotonicTime now) const { return !asking_ && due_ && *due_ <= now; }
    std::optional<MonotonicTime> next_due() const { return asking_ ? std::nullopt : due_; }
    void asked() { asking_ = true; }
    enum class Verdict : uint8_t { early, undecided, passed, failed };
    // What the answer makes of it: passed or failed once a threshold is reached, and each time after; early: not
    // counted.
    Verdict answered(bool success, MonotonicTime now);

private:
    ProbeConfig config_;
    std::optional<MonotonicTime> due_;
    bool asking_ = false;
    bool eager_;
    MonotonicTime eager_until_{};
    Duration eager_wait_ = eager_first;
    unsigned successes_ = 0, failures_ = 0;
};

}  // namespace weft::runtime
