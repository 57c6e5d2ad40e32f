// The agent's socket under a crowd: real connections, one thread each, an endpoint service over a kernel in memory.
#include <sys/socket.h>
#include <sys/un.h>

#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include "agent/cni_ear.h"
#include "agent/sim_node.h"

namespace weft::agent {
namespace {

using protocol::cni::Answer;
using protocol::cni::Command;
using protocol::cni::Reply;
using protocol::cni::Request;

constexpr int callers = 100;

std::string objects() {
    std::string text(sim::one_block);
    for (int i = 0; i < callers; ++i)
        text += fmt::format("---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{0}, namespace: default, uid: u{0}, annotations: "
                            "{{weft.dev/vswitch: vsw-a}}}}\nspec: {{nodeName: n1}}\n", i);
    return text;
}

// The one thread that owns the service, as in the agent.
class OwnThread {
public:
    void post(std::function<void()> work) {
        const std::lock_guard lock(mutex_);
        queue_.push_back(std::move(work));
        arrived_.notify_one();
    }

private:
    void run(const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        while (arrived_.wait(lock, stop, [&] { return !queue_.empty(); })) {
            const auto work = std::move(queue_.front());
            queue_.pop_front();
            lock.unlock();
            work();
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable_any arrived_;
    std::deque<std::function<void()>> queue_;
    std::jthread thread_{[this](const std::stop_token& stop) { run(stop); }};
};

Reply call(const std::string& path, const Request& request) {
    const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return Reply::error(Answer::internal, "connect");
    if (!protocol::cni::send_all(fd.get(), protocol::cni::encode(request))) return Reply::error(Answer::internal, "send");
    const auto text = protocol::cni::receive_all(fd.get());
    return text && !text->empty() ? MUST(protocol::cni::decode_reply(*text)) : Reply::error(Answer::internal, "no reply");
}

Request request(Command command, int pod) {
    const std::string name = std::to_string(pod);
    return {command, "c" + name, "eth0", "/run/netns/c" + name, "default", "p" + name, "u" + name, 0};
}

// CNI-46
TEST(CniEar, CNI_46_a_hundred_ADDs_at_once_all_succeed_with_an_address_each_and_so_do_their_DELs) {
    const std::string path = "/tmp/weft-cni-ear-" + std::to_string(getpid()) + ".sock";
    FakeClock clock;
    kube::FakeClient api;
    api.seed(objects());
    sim::SimNode node(api, clock, "n1", path + ".log");
    {
        OwnThread brain;
        const auto ear = MUST(CniEar::listen(
            path,
            [&](const Request& asked, EndpointService::Respond respond) {
                brain.post([&node, asked, respond] { node.service->ask(asked, respond); });
            },
            [&](const std::string& link) -> Status {
                brain.post([&node, link] { (void)node.wiring->disconnect(link); });
                return {};
            }));
        const auto all_at_once = [&](Command command) {
            std::vector<Reply> replies(callers);
            std::vector<std::jthread> crowd;
            for (int i = 0; i < callers; ++i)
                crowd.emplace_back([&, i] { replies[size_t(i)] = call(path, request(command, i)); });
            crowd.clear();
            return replies;
        };
        std::set<std::string> addresses, links;
        for (const Reply& reply : all_at_once(Command::add)) {
            EXPECT_EQ(reply.answer, Answer::ok) << reply.message << ": " << reply.details;
            addresses.insert(reply.wired.address);
            links.insert(reply.wired.host_link);
        }
        EXPECT_EQ(addresses.size(), size_t(callers));
        EXPECT_EQ(links.size(), size_t(callers));
        for (const Reply& reply : all_at_once(Command::check)) EXPECT_EQ(reply.answer, Answer::ok) << reply.message;
        for (const Reply& reply : all_at_once(Command::del)) EXPECT_EQ(reply.answer, Answer::ok) << reply.message;
        for (const Reply& reply : all_at_once(Command::del)) EXPECT_EQ(reply.answer, Answer::ok) << "CNI-40: forgiven";
    }
    EXPECT_TRUE(node.log->allocations().empty());
    EXPECT_TRUE(node.endpoint_rows.empty());
    ::unlink(path.c_str());
}

}  // namespace
}  // namespace weft::agent
