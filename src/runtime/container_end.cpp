#include <signal.h>

#include "runtime/container.h"

namespace weft::runtime {

using protocol::runtime::Order;

// What Kubernetes adds when a preStop hook has used up the grace period.
static constexpr Duration after_hook = std::chrono::seconds(2);
static constexpr Duration kill_again = std::chrono::seconds(1);

Duration ContainerSteps::grace_of(const PodRun& run) const {
    return std::chrono::seconds(run.object->integer({"spec", "terminationGracePeriodSeconds"}, 30));
}

void ContainerSteps::stop(PodRun& run, ContainerRun& container, MonotonicTime kill_at, const std::string& why) {
    if (container.state != ContainerRun::State::running || !run.link) return;
    if (container.ending) {
        container.ending->kill_at = std::min(container.ending->kill_at, kill_at);
        return;
    }
    world_.events.normal(*run.object, "Killing", why);
    container.ready = false;
    container.hook.clear();
    container.hook_until.reset();
    container.ending = {kill_at, false};
    const Duration grace = kill_at - world_.brain.clock().now();
    if (grace <= Duration::zero() || !begin_hook(run, container, "PreStop", grace)) tell_to_end(run, container);
}

void ContainerSteps::tell_to_end(PodRun& run, ContainerRun& container) {
    (void)run.link->send({Order::Kind::signal, {}, container.name, SIGTERM});
    container.ending->told = true;
}

std::optional<MonotonicTime> ContainerSteps::step_ending(PodRun& run, ContainerRun& container) {
    ContainerRun::Ending& ending = *container.ending;
    const MonotonicTime now = world_.brain.clock().now();
    if (ending.kill_at > now) return sooner(ending.kill_at, container.hook_until);
    if (!ending.told) {
        container.hook.clear();
        container.hook_until.reset();
        tell_to_end(run, container);
        ending.kill_at = now + after_hook;
    } else {
        (void)run.link->send({Order::Kind::signal, {}, container.name, SIGKILL});
        ending.kill_at = now + kill_again;
    }
    return ending.kill_at;
}

bool ContainerSteps::begin_hook(PodRun& run, ContainerRun& container, std::string_view kind, Duration patience) {
    const json::Value* spec = container_spec(run, container);
    const std::string_view field = kind == "PreStop" ? "preStop" : "postStart";
    const json::Value* hook = spec == nullptr ? nullptr : json::find(*spec, {"lifecycle", field});
    if (hook == nullptr) return false;
    container.hook = kind;
    Result<ProbeQuestion> question = parse_hook(*hook, *spec);
    if (question && question->kind == ProbeQuestion::Kind::sleep) {
        container.hook_until = world_.brain.clock().now() + question->pause;
        return true;
    }
    const auto tell = [this, uid = run.record.uid, name = container.name, attempt = container.attempt,
                       kind](const Status& answer) {
        world_.brain.post([this, uid, name, attempt, kind, answer] { on_answer_(uid, name, attempt, kind, answer); });
    };
    if (!question) {
        tell(fail(question.error()));
        return true;
    }
    question->timeout = patience;
    world_.hooks.submit([this, tell, question = std::move(*question), target = target_of(run, container)] {
        tell(ask(question, target, world_.stop));
    });
    return true;
}

void ContainerSteps::hook_ended(PodRun& run, ContainerRun& container, std::string_view kind, const Status& answer) {
    if (container.hook != kind) return;  // it was not waited for any longer
    container.hook.clear();
    container.hook_until.reset();
    if (!answer)
        world_.events.warning(*run.object, fmt::format("Failed{}Hook", kind),
                              fmt::format("{}Hook failed: {}", kind, answer.error().message));
    if (kind == "PreStop") {
        if (container.ending && !container.ending->told) tell_to_end(run, container);
    } else if (answer) {
        begin_asking(run, container);
    } else {
        stop(run, container, world_.brain.clock().now() + grace_of(run),
             fmt::format("Container {} failed its PostStart hook", container.name));
    }
}

}  // namespace weft::runtime
