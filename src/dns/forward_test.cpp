// The forwarder against upstream servers of the test's own, on 127.A.B.60 and 127.A.B.61; A.B is unique to this process.
#include "dns/forward.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <mutex>
#include <set>
#include <thread>

#include "dns/cache.h"

namespace weft::dns {
namespace {

using namespace std::chrono_literals;
using dns_wire::Message;
using dns_wire::Name;
using dns_wire::Question;
using dns_wire::Rcode;
using dns_wire::Type;

constexpr uint16_t port = 10053;
// Enough letters that no two spellings by chance are alike.
constexpr const char* long_name = "a-name-with-a-good-many-letters-in-it.example-of-an-upstream.test.";

io::SocketAddress address(uint8_t last) {
    const auto pid = unsigned(getpid());
    return {net::Address::v4(127, uint8_t(1 + (pid >> 7) % 250), uint8_t(pid & 0x7f), last), port};
}

Message good(const Message& query) {
    Message reply = dns_wire::response_to(query);
    reply.answers = {dns_wire::a_record(query.questions.front().name, 30, net::Address::v4(192, 0, 2, 1))};
    return reply;
}

Message excuse(const Message& query) {
    Message reply = dns_wire::response_to(query);
    reply.rcode = Rcode::serv_fail;
    return reply;
}

// One upstream server: what `answer` gives is sent back in order; nothing is silence.
class Server {
public:
    using Answer = std::function<std::vector<Message>(const Message& query, bool tcp)>;

    Server(uint8_t last, Answer answer)
        : answer_(std::move(answer)),
          udp_(MUST(worker::local_channel()->listen({0, address(last).address, port, net::Protocol::udp}, 1))),
          tcp_(MUST(worker::local_channel()->listen({0, address(last).address, port, net::Protocol::tcp}, 1))),
          thread_([this](const std::stop_token& stop) { run(stop); }) {}

    // The names it was asked for, spelled as they came.
    std::vector<std::string> asked(bool tcp = false) const {
        const std::lock_guard lock(mutex_);
        return tcp ? by_tcp_ : by_udp_;
    }

private:
    std::vector<std::vector<uint8_t>> replies_to(std::span<const uint8_t> bytes, bool tcp) {
        const auto query = dns_wire::decode_query(bytes);
        if (!query || query->message.questions.empty()) return {};
        {
            const std::lock_guard lock(mutex_);
            (tcp ? by_tcp_ : by_udp_).push_back(query->message.questions.front().name.text());
        }
        std::vector<std::vector<uint8_t>> replies;
        for (const Message& reply : answer_(query->message, tcp)) replies.push_back(dns_wire::encode(reply, 4096));
        return replies;
    }

    void run(const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            pollfd waiting[] = {{udp_.front().get(), POLLIN, 0}, {tcp_.front().get(), POLLIN, 0}};
            poll(waiting, 2, 20);
            uint8_t bytes[2048];
            sockaddr_storage peer{};
            socklen_t size = sizeof peer;
            auto* const to = reinterpret_cast<sockaddr*>(&peer);
            const ssize_t got = recvfrom(udp_.front().get(), bytes, sizeof bytes, MSG_DONTWAIT, to, &size);
            if (got > 0)
                for (const auto& reply : replies_to({bytes, size_t(got)}, false))
                    sendto(udp_.front().get(), reply.data(), reply.size(), 0, to, size);
            const Fd connection(accept4(tcp_.front().get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!connection) continue;
            pollfd query{connection.get(), POLLIN, 0};
            if (poll(&query, 1, 2000) != 1) continue;
            const ssize_t framed = recv(connection.get(), bytes, sizeof bytes, 0);
            if (framed <= 2) continue;
            for (auto reply : replies_to({bytes + 2, size_t(framed) - 2}, true)) {
                reply.insert(reply.begin(), {uint8_t(reply.size() >> 8), uint8_t(reply.size())});
                send(connection.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
            }
        }
    }

    const Answer answer_;
    mutable std::mutex mutex_;
    std::vector<std::string> by_udp_, by_tcp_;
    std::vector<Fd> udp_, tcp_;
    std::jthread thread_;
};

class ForwarderTest : public testing::Test {
protected:
    void use(std::initializer_list<uint8_t> servers, LoopWatch* loops = nullptr) {
        ForwardConfig config{{}, Policy::sequential, *Name::parse("cluster.local."), loops, loops != nullptr};
        for (const uint8_t last : servers) config.upstreams.push_back(address(last));
        forwarder_ = std::make_unique<Forwarder>(*loop_, *channel_, std::move(config));
        loop_->turn(0ms);
    }

    bool pump_until(const std::function<bool()>& fact) {
        const auto deadline = std::chrono::steady_clock::now() + 20s;
        while (!fact() && std::chrono::steady_clock::now() < deadline) loop_->turn(10ms);
        return fact();
    }

    Result<Message> ask(const std::string& name) {
        std::optional<Result<Message>> answer;
        forwarder_->ask({*Name::parse(name), Type::a, dns_wire::Class::in}, flags_,
                        [&](const Result<Message>& reply) { answer = reply; });
        if (!pump_until([&] { return answer.has_value(); })) return fail(Code::timeout, "the test waited too long");
        return *answer;
    }

    // The address in the answer, else why there is none.
    std::string first_answer(const std::string& name) {
        const Result<Message> reply = ask(name);
        if (!reply) return std::string(code_name(reply.error().code));
        return reply->answers.empty() ? std::string(dns_wire::rcode_text(reply->rcode)) : reply->answers.front().text();
    }

    std::unique_ptr<io::Loop> loop_ = *io::Loop::create();
    std::unique_ptr<worker::Channel> channel_ = worker::local_channel();
    std::unique_ptr<Forwarder> forwarder_;
    Message flags_;
};

TEST_F(ForwarderTest, DNS_26_every_question_is_spelled_by_chance_and_comes_back_as_it_was_asked) {
    const Server server(60, [](const Message& query, bool) { return std::vector{good(query)}; });
    use({60});
    for (int i = 0; i < 8; ++i) {
        const Result<Message> reply = ask(long_name);
        ASSERT_TRUE(reply) << reply.error().message;
        EXPECT_EQ(reply->questions.front().name.text(), long_name);
    }
    const auto asked = server.asked();
    EXPECT_EQ(std::set<std::string>(asked.begin(), asked.end()).size(), 8u);
    for (const std::string& name : asked) EXPECT_EQ(*Name::parse(name), *Name::parse(long_name));
}

TEST_F(ForwarderTest, DNS_26_a_reply_in_another_spelling_is_asked_for_again_where_nobody_can_guess) {
    const Server server(60, [](const Message& query, bool tcp) {
        Message reply = good(query);
        reply.questions.front().name = *Name::parse(long_name);
        if (!tcp) reply.answers = {dns_wire::a_record(*Name::parse(long_name), 30, net::Address::v4(6, 6, 6, 6))};
        return std::vector{reply};
    });
    use({60});
    EXPECT_NE(first_answer(long_name).find("192.0.2.1"), std::string::npos);
    EXPECT_EQ(server.asked(true).size(), 1u);
}

TEST_F(ForwarderTest, DNS_26_guesses_do_not_count_and_too_many_end_in_tcp) {
    int guesses = 3;
    const Server server(60, [&](const Message& query, bool tcp) {
        std::vector<Message> replies;
        for (int i = 0; !tcp && i < guesses; ++i) {
            Message wrong = good(query);
            if (i % 2 == 0) wrong.id = uint16_t(wrong.id + 1 + i);
            else wrong.questions.front().type = Type::aaaa;
            wrong.answers = {dns_wire::a_record(wrong.questions.front().name, 30, net::Address::v4(6, 6, 6, 6))};
            replies.push_back(wrong);
        }
        if (tcp || guesses < 10) replies.push_back(good(query));
        return replies;
    });
    use({60});
    EXPECT_NE(first_answer("a.test.").find("192.0.2.1"), std::string::npos);
    EXPECT_TRUE(server.asked(true).empty());
    guesses = int(Forwarder::mismatches_max) + 1;
    EXPECT_NE(first_answer("b.test.").find("192.0.2.1"), std::string::npos);
    EXPECT_EQ(server.asked(true).size(), 1u);
}

TEST_F(ForwarderTest, DNS_26_what_is_out_of_bailiwick_is_dropped) {
    const Server server(60, [](const Message& query, bool) {
        Message reply = good(query);
        reply.answers.push_back(dns_wire::a_record(*Name::parse("bank.test."), 30, net::Address::v4(6, 6, 6, 6)));
        reply.additionals = {
            dns_wire::a_record(*Name::parse("web.default.svc.cluster.local."), 30, net::Address::v4(6, 6, 6, 6))};
        return std::vector{reply};
    });
    use({60});
    const Result<Message> reply = ask("a.test.");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->answers.size(), 1u);
    EXPECT_TRUE(reply->additionals.empty());
}

TEST_F(ForwarderTest, equal_questions_travel_once) {
    const Server server(60, [](const Message& query, bool) { return std::vector{good(query)}; });
    use({60});
    size_t answered = 0;
    const auto count = [&](const Result<Message>& reply) { answered += reply.has_value(); };
    for (int i = 0; i < 10; ++i) forwarder_->ask({*Name::parse(i % 2 ? "A.test." : "a.test."), Type::a}, flags_, count);
    EXPECT_TRUE(pump_until([&] { return answered == 10; }));
    EXPECT_EQ(server.asked().size(), 1u);
}

TEST_F(ForwarderTest, DNS_26_a_dead_server_is_passed_over_rests_and_is_asked_again_when_it_is_back) {
    const auto answer = [](const Message& query, bool) { return std::vector{good(query)}; };
    const Server second(61, answer);
    use({60, 61});
    for (unsigned i = 0; i < Upstreams::failures_max; ++i)
        EXPECT_NE(first_answer("a.test.").find("192.0.2.1"), std::string::npos);
    EXPECT_TRUE(forwarder_->upstreams().rests(0));
    const Server first(60, answer);
    EXPECT_TRUE(pump_until([&] { return !forwarder_->upstreams().rests(0); })) << "a probe finds it";
    EXPECT_NE(first_answer("b.test.").find("192.0.2.1"), std::string::npos);
    const auto asked = first.asked();
    EXPECT_EQ(*Name::parse(asked.back()), *Name::parse("b.test."));
}

TEST_F(ForwarderTest, DNS_26_an_excuse_is_believed_only_when_nobody_knows_better) {
    const Server first(60, [](const Message& query, bool) { return std::vector{excuse(query)}; });
    use({60});
    EXPECT_EQ(first_answer("a.test."), "SERVFAIL");
    EXPECT_EQ(first.asked().size(), 1u) << "the same server would say the same";
    {
        const Server second(61, [](const Message& query, bool) { return std::vector{good(query)}; });
        use({60, 61});
        EXPECT_NE(first_answer("a.test.").find("192.0.2.1"), std::string::npos);
        EXPECT_FALSE(forwarder_->upstreams().rests(0)) << "it lives";
    }
    use({60, 61});
    EXPECT_EQ(first_answer("a.test."), "SERVFAIL") << "better than nothing";
}

TEST_F(ForwarderTest, DNS_26_nobody_there_is_an_error_at_once) {
    use({60, 61});
    EXPECT_EQ(first_answer("a.test."), code_name(Code::unavailable));
}

TEST_F(ForwarderTest, DNS_26_a_loop_is_found_and_a_mended_one_is_asked_again) {
    LoopWatch loops;
    std::atomic<bool> is_loop = true;
    const Server server(60, [&](const Message& query, bool) {
        return std::vector{is_loop && loops.caught(query.questions.front()) ? excuse(query) : good(query)};
    });
    use({60}, &loops);
    forwarder_->start();
    EXPECT_TRUE(pump_until([&] { return loops.looping() == 1; }));
    EXPECT_EQ(first_answer("a.test."), code_name(Code::unavailable));
    is_loop = false;
    use({60}, &loops);  // its next check is a minute away: another one looks now
    forwarder_->start();
    EXPECT_TRUE(pump_until([&] { return loops.looping() == 0; }));
    EXPECT_NE(first_answer("a.test.").find("192.0.2.1"), std::string::npos);
}

}  // namespace
}  // namespace weft::dns
