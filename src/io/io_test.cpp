#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "io/buffer.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/stream.h"
#include "io/tls.h"

namespace weft::io {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const SocketAddress loopback{net::Address::v4(127, 0, 0, 1), 0};

std::string temporary_path(std::string_view name) {
    return testing::TempDir() + "weft-io-" + std::to_string(::getpid()) + "-" + std::string(name);
}

TEST(Buffer, KeepsOrderWhileItGrowsAndShifts) {
    Buffer buffer;
    std::string expected, all;
    for (int i = 0; i < 5000; ++i) {
        const std::string piece = std::to_string(i) + ",";
        buffer.append(piece);
        expected += piece;
        if (i % 3 == 0) {
            const size_t n = buffer.size() / 2;
            EXPECT_EQ(buffer.view().substr(0, n), std::string_view(expected).substr(0, n));
            buffer.consume(n);
            expected.erase(0, n);
        }
    }
    EXPECT_EQ(buffer.view(), expected);
    buffer.consume(buffer.size());
    buffer.release();
    EXPECT_TRUE(buffer.empty());
}

TEST(Socket, AUnixSocketHasItsModeFromTheStartAndKnowsItsPeer) {
    const auto path = temporary_path("mode.sock");
    const auto listener = MUST(listen_unix(path, 0600));
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    const auto client = MUST(connect_unix(path));
    const auto server = MUST(accept(listener.get(), false));
    const auto peer = MUST(peer_credentials(server.get()));
    EXPECT_EQ(peer.uid, ::getuid());
    EXPECT_EQ(peer.pid, ::getpid());
    EXPECT_EQ(listen_unix(path).error().code, Code::already_exists);
    EXPECT_EQ(listen_unix(std::string(200, 'x')).error().code, Code::invalid);
    ::unlink(path.c_str());
}

TEST(Socket, ALeftOverUnixSocketIsReplaced) {
    const auto path = temporary_path("left.sock");
    {
        const auto gone = MUST(listen_unix(path));
    }
    EXPECT_TRUE(listen_unix(path));
    ::unlink(path.c_str());
}

TEST(Socket, ConnectSaysWhereItFailed) {
    const auto free_port = [] {
        const auto listener = MUST(listen_tcp(loopback));
        return MUST(local_address(listener.get()));
    }();
    const auto refused = connect_tcp(free_port, seconds(1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::unavailable);
    EXPECT_NE(refused.error().message.find(free_port.text()), std::string::npos);
    EXPECT_FALSE(peer_credentials(MUST(listen_tcp(loopback)).get()));
    EXPECT_EQ((SocketAddress{MUST(net::Address::parse("2001:db8::1")), 80}.text()), "[2001:db8::1]:80");
}

TEST(Stream, ReadTimesOutAndShutdownEndsAReader) {
    const auto listener = MUST(listen_tcp(loopback));
    auto client = plain_stream(MUST(connect_tcp(MUST(local_address(listener.get())), seconds(1))));
    client->set_timeouts(milliseconds(20), milliseconds(20));
    std::array<char, 10> bytes;
    EXPECT_EQ(client->read(bytes).error().code, Code::timeout);
    client->set_timeouts(no_timeout, no_timeout);
    std::jthread other([&] { client->shutdown(); });
    EXPECT_EQ(MUST(client->read(bytes)), 0u);
}

class CountingHandler final : public Handler {
public:
    explicit CountingHandler(std::function<void(uint32_t)> work) : work_(std::move(work)) {}
    void ready(uint32_t events) override { work_(events); }

private:
    std::function<void(uint32_t)> work_;
};

TEST(Loop, TimersFireInOrderAndRearmingLaterIsLazy) {
    const auto loop = MUST(Loop::create());
    std::vector<int> fired;
    struct Entry {
        std::vector<int>* fired;
        int number;
    };
    std::vector<Entry> entries;
    for (int i = 0; i < 20; ++i) entries.push_back({&fired, i});
    const auto note = [](void* owner) {
        auto* entry = static_cast<Entry*>(owner);
        entry->fired->push_back(entry->number);
    };
    std::vector<std::unique_ptr<Timer>> timers;
    for (auto& entry : entries) timers.push_back(std::make_unique<Timer>(note, &entry));
    for (int i = 19; i >= 0; --i) timers[size_t(i)]->arm(*loop, milliseconds(i));
    timers[3]->disarm();
    timers[0]->arm(*loop, milliseconds(30));  // later than before
    timers[19]->arm(*loop, Duration(1));      // earlier than before
    timers[5].reset();
    while (fired.size() < 18) loop->turn(seconds(1));
    EXPECT_EQ(fired, (std::vector<int>{19, 1, 2, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 0}));
    EXPECT_FALSE(timers[0]->armed());
}

TEST(Loop, AHandlerRemovedInTheSameTurnIsNotCalled) {
    const auto loop = MUST(Loop::create());
    std::array<int, 2> one{}, two{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, one.data()), 0);
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, two.data()), 0);
    int calls = 0;
    CountingHandler first([&](uint32_t) {
        ++calls;
        loop->unwatch(one[0]);
        loop->unwatch(two[0]);
    });
    ASSERT_TRUE(loop->watch(one[0], first));
    ASSERT_TRUE(loop->watch(two[0], first));
    loop->turn(seconds(1));
    EXPECT_EQ(calls, 1);
    for (const int fd : {one[0], one[1], two[0], two[1]}) ::close(fd);
}

TEST(Loop, PostedWorkWakesItInOrder) {
    const auto loop = MUST(Loop::create());
    std::stop_source stop;
    std::vector<int> seen;
    std::jthread other([&] {
        for (int i = 0; i < 100; ++i) loop->post([&, i] { seen.push_back(i); });
        loop->post([&] { stop.request_stop(); });
    });
    loop->run(stop.get_token());
    ASSERT_EQ(seen.size(), 100u);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

// A self-signed certificate for localhost and 127.0.0.1, made anew for each run.
class TlsTest : public testing::Test {
protected:
    static void SetUpTestSuite() {
        const auto key = temporary_path("key.pem"), certificate = temporary_path("cert.pem");
        const std::string command =
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
            "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout " +
            key + " -out " + certificate + " 2>/dev/null";
        ASSERT_EQ(::system(command.c_str()), 0);
        key_ = MUST(read_file(key));
        certificate_ = MUST(read_file(certificate));
        ::unlink(key.c_str());
        ::unlink(certificate.c_str());
    }

    void SetUp() override {
        listener_ = MUST(listen_tcp(loopback));
        at_ = MUST(local_address(listener_.get()));
    }

    Fd dial() const { return MUST(connect_tcp(at_, seconds(1))); }

    inline static std::string key_, certificate_;
    Fd listener_;
    SocketAddress at_;
};

TEST_F(TlsTest, BytesPassBothWaysAtOnce) {
    const auto server = MUST(TlsContext::server(certificate_, key_));
    const auto client = MUST(TlsContext::client(certificate_));
    constexpr size_t total = 3'000'000;
    std::jthread echo([&] {
        const auto stream = MUST(server->accept(MUST(accept(listener_.get(), false)), seconds(5)));
        std::array<char, 10000> bytes;
        for (;;) {
            const auto n = stream->read(bytes);
            if (!n || *n == 0 || !stream->write({bytes.data(), *n})) break;
        }
        stream->finish_writing();
    });
    const auto stream = MUST(client->connect(dial(), "localhost", seconds(5)));
    std::jthread writer([&] {
        const std::string piece(30000, 'x');
        for (size_t sent = 0; sent < total; sent += piece.size()) ASSERT_TRUE(stream->write(piece));
        stream->finish_writing();
    });
    size_t received = 0;
    std::array<char, 10000> bytes;
    while (const size_t n = MUST(stream->read(bytes))) received += n;
    EXPECT_EQ(received, total);
}

TEST_F(TlsTest, UntrustedAndMisnamedServersAreDenied) {
    const auto server = MUST(TlsContext::server(certificate_, key_));
    std::jthread accepter([&] {
        for (int i = 0; i < 3; ++i) (void)server->accept(MUST(accept(listener_.get(), false)), seconds(5));
    });
    EXPECT_EQ(MUST(TlsContext::client(""))->connect(dial(), "localhost", seconds(5)).error().code, Code::denied);
    EXPECT_EQ(MUST(TlsContext::client(certificate_))->connect(dial(), "other.test", seconds(5)).error().code,
              Code::denied);
    EXPECT_TRUE(MUST(TlsContext::client(certificate_))->connect(dial(), "127.0.0.1", seconds(5)));
}

TEST_F(TlsTest, ASilentClientTimesOutAndGarbageIsAnError) {
    const auto server = MUST(TlsContext::server(certificate_, key_));
    const Fd silent = dial();
    EXPECT_EQ(server->accept(MUST(accept(listener_.get(), false)), milliseconds(30)).error().code, Code::timeout);
    const Fd garbage = dial();
    ASSERT_EQ(::send(garbage.get(), "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    EXPECT_EQ(server->accept(MUST(accept(listener_.get(), false)), seconds(5)).error().code, Code::unavailable);
}

TEST_F(TlsTest, BadPemIsNamed) {
    EXPECT_EQ(TlsContext::server("nonsense", key_).error().code, Code::invalid);
    EXPECT_NE(TlsContext::server(certificate_, "nonsense").error().message.find("private key"), std::string::npos);
    EXPECT_EQ(TlsContext::client("nonsense").error().code, Code::invalid);
}

}  // namespace
}  // namespace weft::io
