#include "protocol/cni.h"

#include <sys/socket.h>

namespace weft::protocol::cni {
namespace {

TEST(CniProtocol, a_request_comes_back_as_it_was) {
    const Request request{Command::check, "abc", "eth0", "/run/netns/x", "default", "web-0", "uid-1", 1400};
    EXPECT_EQ(decode_request(encode(request)).value(), request);
    Request ports{Command::add, "abc", "eth0"};
    ports.address = "10.0.0.7";
    ports.host_ports = {{8080, 80, net::Protocol::tcp, ""}, {53, 5353, net::Protocol::udp, "198.18.1.1"}};
    EXPECT_EQ(decode_request(encode(ports)).value(), ports);
    Request gc{Command::gc};
    gc.network = "weft";
    gc.valid = {{"a", "eth0"}, {"b", "eth1"}};
    gc.started_ms = 77;
    EXPECT_EQ(decode_request(encode(gc)).value(), gc);
}

TEST(CniProtocol, a_reply_comes_back_as_it_was) {
    const Reply reply{
        Answer::ok, "", "", {"wpod1", "02:00:00:00:00:01", "06:77:00:00:00:01", 1500, "10.0.1.4", "169.254.1.1"}};
    EXPECT_EQ(decode_reply(encode(reply)).value(), reply);
    const Reply error = Reply::error(Answer::try_again, "no address yet", "vsw-a");
    EXPECT_EQ(decode_reply(encode(error)).value(), error);
}

TEST(CniProtocol, wrong_input_names_its_field) {
    EXPECT_NE(decode_request("{\"command\":\"FLY\"}").error().message.find("command"), std::string::npos);
    EXPECT_NE(decode_request("{\"command\":\"ADD\",\"containerID\":7}").error().message.find("containerID"),
              std::string::npos);
    EXPECT_NE(decode_request("{\"command\":\"ADD\",\"containerID\":\"a\"}").error().message.find("ifname"),
              std::string::npos);
    EXPECT_EQ(decode_request("[]").error().code, Code::invalid);
    EXPECT_EQ(decode_request("").error().code, Code::invalid);
    EXPECT_EQ(decode_reply("{\"code\":-1}").error().code, Code::invalid);
}

TEST(CniProtocol, messages_end_with_the_stream_and_have_a_limit) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    Fd left(ends[0]);
    Fd right(ends[1]);
    ASSERT_TRUE(send_all(left.get(), "hello").has_value());
    EXPECT_EQ(receive_all(right.get()).value(), "hello");

    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    left.reset(ends[0]);
    right.reset(ends[1]);
    std::thread writer([&] { (void)send_all(left.get(), std::string(2 * 1024 * 1024, 'x')); });
    EXPECT_EQ(receive_all(right.get()).error().code, Code::exhausted);
    right.reset();
    writer.join();
}

}  // namespace
}  // namespace weft::protocol::cni
