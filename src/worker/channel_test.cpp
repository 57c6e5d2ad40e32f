// The worker's end of the keeper protocol against a keeper that does what the test says.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <thread>

#include "worker/keeper_channel.h"
#include "worker/sockets.h"

namespace weft::worker {
namespace {

namespace wire = protocol::keeper;
using namespace std::chrono_literals;

const ListenKey web{7, net::Address::v4(127, 0, 0, 1), 0, net::Protocol::tcp};
const ListenKey dns{8, net::Address::v4(127, 0, 0, 1), 0, net::Protocol::udp};

// Serves one connection until it is told to stop or the worker hangs up; counts what it was asked.
class ScriptedKeeper {
public:
    explicit ScriptedKeeper(Fd connection) : connection_(std::move(connection)) {}

    ~ScriptedKeeper() { stop(); }

    // A new worker: hello, hello, what was kept.
    void greet_new_worker(const std::map<ListenKey, std::vector<Fd>>& kept) {
        say_hello();
        ASSERT_EQ(next().message.kind, wire::Kind::hello);
        for (const auto& [key, sockets] : kept)
            ASSERT_TRUE(wire::send(connection_.get(), wire::about(wire::Kind::holding, key), sockets));
        wire::Message end;
        end.kind = wire::Kind::holding_end;
        ASSERT_TRUE(wire::send(connection_.get(), end));
    }

    // A living worker: hello, hello, what it has.
    std::map<ListenKey, std::vector<Fd>> adopt() {
        say_hello();
        EXPECT_EQ(next().message.kind, wire::Kind::hello);
        std::map<ListenKey, std::vector<Fd>> holdings;
        for (;;) {
            wire::Received received = next();
            if (received.message.kind != wire::Kind::holding) {
                EXPECT_EQ(received.message.kind, wire::Kind::holding_end);
                return holdings;
            }
            holdings[wire::key_of(received.message)] = std::move(received.descriptors);
        }
    }

    void serve() {
        thread_ = std::jthread([this](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                const auto request = wire::receive(connection_.get(), 10ms);
                if (request) {
                    answer(request->message);
                } else if (request.error().code != Code::timeout) {
                    return;
                }
            }
        });
    }

    void stop() {
        thread_ = {};
        connection_.reset();
    }

    std::atomic<int> upstream_requests = 0;
    std::atomic<uint64_t> netns = 1;
    std::atomic<bool> vpc_is_gone = false;

private:
    void say_hello() {
        wire::Message hello;
        hello.set_text("n1");
        EXPECT_TRUE(wire::send(connection_.get(), hello));
    }

    wire::Received next() {
        auto received = wire::receive(connection_.get(), 5s);
        EXPECT_TRUE(received);
        return received ? std::move(*received) : wire::Received{};
    }

    void answer(const wire::Message& request) {
        wire::Message reply;
        std::vector<Fd> sockets;
        if (vpc_is_gone) {
            reply = wire::failure(Error{Code::not_found, "no such VPC here"});
        } else if (request.kind == wire::Kind::listen) {
            sockets.push_back(*make_listener(wire::key_of(request)));
        } else if (request.kind == wire::Kind::api) {
            sockets.push_back(*make_upstream(net::Protocol::tcp));
        } else if (request.kind == wire::Kind::upstream) {
            if (request.count > 0) ++upstream_requests;
            for (unsigned i = 0; i < request.count; ++i)
                sockets.push_back(*make_upstream(net::Protocol(request.protocol)));
        }
        reply.kind = wire::Kind::reply;
        reply.netns_cookie = netns;
        // A late reply to something else comes first: it must not be taken for ours.
        reply.sequence = request.sequence + 1000;
        (void)wire::send(connection_.get(), reply);
        reply.sequence = request.sequence;
        (void)wire::send(connection_.get(), reply, sockets);
    }

    Fd connection_;
    std::jthread thread_;
};

class ChannelTest : public testing::Test {
protected:
    void SetUp() override { open({}); }

    // An abstract name: no file to clean up.
    void open(const std::map<ListenKey, std::vector<Fd>>& kept) {
        int pair[2];
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        keeper_ = std::make_unique<ScriptedKeeper>(Fd(pair[0]));
        Fd adopt(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        ASSERT_EQ(bind(adopt.get(), reinterpret_cast<const sockaddr*>(&address_), address_size_), 0);
        ASSERT_EQ(listen(adopt.get(), 4), 0);
        std::thread greeting([&] { keeper_->greet_new_worker(kept); });
        auto channel = KeeperChannel::open("dns", Fd(pair[1]), std::move(adopt));
        greeting.join();
        ASSERT_TRUE(channel) << channel.error().message;
        channel_ = std::move(*channel);
        keeper_->serve();
    }

    std::map<ListenKey, std::vector<Fd>> new_keeper() {
        Fd connection(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        EXPECT_EQ(connect(connection.get(), reinterpret_cast<const sockaddr*>(&address_), address_size_), 0);
        keeper_ = std::make_unique<ScriptedKeeper>(std::move(connection));
        auto holdings = keeper_->adopt();
        keeper_->serve();
        return holdings;
    }

    static sockaddr_un abstract_address() {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string name = "weft-channel-test-" + std::to_string(getpid());
        std::copy(name.begin(), name.end(), address.sun_path + 1);
        return address;
    }

    const sockaddr_un address_ = abstract_address();
    const socklen_t address_size_ = sizeof(sa_family_t) + 32;
    std::unique_ptr<ScriptedKeeper> keeper_;
    std::unique_ptr<KeeperChannel> channel_;
};

TEST_F(ChannelTest, the_greeting_names_the_node_and_hands_over_what_was_kept) {
    EXPECT_EQ(channel_->node(), "n1");
    EXPECT_TRUE(channel_->held().empty());
    channel_.reset();
    std::map<ListenKey, std::vector<Fd>> kept;
    kept[web].push_back(*make_listener(web));
    const uint64_t cookie = socket_cookie(kept[web].front().get());
    open(kept);
    EXPECT_EQ(channel_->held(), std::vector<ListenKey>{web});
    keeper_->stop();
    const auto sockets = channel_->listen(web, 1);
    ASSERT_TRUE(sockets);
    EXPECT_EQ(socket_cookie(sockets->front().get()), cookie);
}

TEST_F(ChannelTest, without_a_keeper_what_is_held_stays_and_the_rest_is_a_timeout) {
    const auto sockets = channel_->listen(web, 1);
    ASSERT_TRUE(sockets);
    keeper_->stop();
    const auto again = channel_->listen(web, 1);
    ASSERT_TRUE(again);
    EXPECT_EQ(socket_cookie(again->front().get()), socket_cookie(sockets->front().get()));
    EXPECT_EQ(channel_->listen(dns, 1).error().code, Code::timeout);
    EXPECT_EQ(channel_->api().error().code, Code::timeout);
    EXPECT_EQ(channel_->upstream(7, net::Protocol::tcp).error().code, Code::timeout);
}

TEST_F(ChannelTest, a_new_keeper_gets_the_listeners_and_serves_on) {
    const auto sockets = channel_->listen(web, 1);
    ASSERT_TRUE(sockets);
    keeper_->stop();
    const auto holdings = new_keeper();
    ASSERT_EQ(holdings.size(), 1u);
    EXPECT_EQ(socket_cookie(holdings.at(web).front().get()), socket_cookie(sockets->front().get()));
    EXPECT_TRUE(channel_->listen(dns, 1));
    EXPECT_TRUE(channel_->upstream(7, net::Protocol::tcp));
}

TEST_F(ChannelTest, a_request_waits_a_moment_for_a_keeper_that_is_being_replaced) {
    keeper_->stop();
    Result<Fd> connection = fail(Code::io, "not asked");
    std::thread asking([&] { connection = channel_->api(); });
    new_keeper();
    asking.join();
    EXPECT_TRUE(connection);
}

TEST_F(ChannelTest, upstream_sockets_come_from_a_stock_that_refills_itself) {
    for (unsigned i = 0; i < KeeperChannel::stock_batch - KeeperChannel::stock_low; ++i) {
        ASSERT_TRUE(channel_->upstream(7, net::Protocol::tcp));
    }
    EXPECT_EQ(keeper_->upstream_requests, 1);
    ASSERT_TRUE(channel_->upstream(7, net::Protocol::tcp));  // below the low mark
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (keeper_->upstream_requests < 2 && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(1ms);
    EXPECT_EQ(keeper_->upstream_requests, 2);
    keeper_->stop();
    EXPECT_TRUE(channel_->upstream(7, net::Protocol::tcp));  // the stock outlives the keeper
}

TEST_F(ChannelTest, a_vpc_that_is_gone_takes_its_sockets_along) {
    ASSERT_TRUE(channel_->listen(web, 1));
    keeper_->vpc_is_gone = true;
    EXPECT_EQ(channel_->listen(web, 1).error().code, Code::not_found);
    EXPECT_TRUE(channel_->held().empty());
}

TEST_F(ChannelTest, the_stock_of_a_namespace_made_anew_is_thrown_away) {
    ASSERT_TRUE(channel_->upstream(7, net::Protocol::udp));
    keeper_->netns = 2;
    // The recheck sees another cookie, drops the stock, and the next one to ask gets a fresh batch.
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (keeper_->upstream_requests < 2 && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(250ms);
        ASSERT_TRUE(channel_->upstream(7, net::Protocol::udp));
        if (keeper_->upstream_requests == 2) break;
    }
    EXPECT_EQ(keeper_->upstream_requests, 2);
}

TEST(LocalChannelTest, the_same_key_is_the_same_socket_until_it_is_let_go) {
    const auto channel = local_channel();
    const auto first = channel->listen(web, 2);
    const auto again = channel->listen(web, 2);
    ASSERT_TRUE(first && again);
    ASSERT_EQ(first->size(), 2u);
    EXPECT_EQ(socket_cookie(first->front().get()), socket_cookie(again->front().get()));
    ASSERT_TRUE(channel->unlisten(web));
    EXPECT_TRUE(channel->held().empty());
    EXPECT_NE(socket_cookie(channel->listen(web, 1)->front().get()), socket_cookie(first->front().get()));
}

TEST(MessageTest, an_error_survives_the_channel) {
    const Status status = wire::status_of(wire::failure(Error{Code::exhausted, std::string(200, 'x')}));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::exhausted);
    EXPECT_EQ(status.error().message, std::string(79, 'x'));
}

}  // namespace
}  // namespace weft::worker
