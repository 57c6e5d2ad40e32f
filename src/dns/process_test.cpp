// The whole worker process: started as the keeper starts it, in its sandbox, with an API server it reaches only through
// sockets that it is given. The test plays keeper and API server (no watch events: what is listed is all there is).
#include <poll.h>

#include "base/strings.h"
#include "dns/main.h"
#include "dns_wire/message.h"
#include "worker/worker_process.h"

namespace weft::dns {
namespace {

using namespace std::chrono_literals;

net::Address server_address() {
    const auto pid = unsigned(getpid());
    return net::Address::v4(127, uint8_t(1 + (pid >> 7) % 250), uint8_t(pid & 0x7f), 10);
}

std::string items_of(std::string_view path) {
    if (path.ends_with("/vpcs")) {
        return R"({"metadata":{"name":"vpc-demo"},"spec":{"default":true,"vni":7,"serviceCIDR":")" +
               net::Prefix::of(server_address(), 24).text() + R"("}})";
    }
    if (path.ends_with("/namespaces")) return R"({"metadata":{"name":"default"}})";
    if (path.ends_with("/services")) {
        return R"({"metadata":{"name":"web","namespace":"default"},
                   "spec":{"clusterIP":"10.96.0.20","clusterIPs":["10.96.0.20"]}})";
    }
    return "";
}

std::string ask(Duration patience) {
    const Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    (void)io::start_connect(fd.get(), {server_address(), 53});
    dns_wire::Message query;
    query.questions = {
        {*dns_wire::Name::parse("web.default.svc.cluster.local."), dns_wire::Type::a, dns_wire::Class::in}};
    const std::vector<uint8_t> bytes = dns_wire::encode(query, 512);
    send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    const auto events = io::wait_for(fd.get(), POLLIN, patience);
    uint8_t reply[1024];
    const ssize_t got = events && *events != 0 ? recv(fd.get(), reply, sizeof reply, 0) : 0;
    if (got <= 0) return "";
    const auto message = dns_wire::decode_reply({reply, size_t(got)});
    return message && !message->answers.empty() ? message->answers.front().text() : "no answer";
}

TEST(ProcessTest, a_worker_in_its_sandbox_syncs_serves_and_outlives_its_keeper) {
    test::WorkerProcess worker("dns");
    worker.start([](worker::Start start, const std::string& folder, std::stop_token stop) {
        return run(std::move(start), {.health_socket = folder + "/health.sock", .dns = {.ttl_s = 30}, .hands = 2}, stop);
    });
    worker.serve_api(items_of);
    worker.play_keeper();
    const std::string wanted = "web.default.svc.cluster.local. 30 IN A 10.96.0.20";  // DNS-14: as it was told
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    std::string got;
    while (got != wanted && std::chrono::steady_clock::now() < deadline) got = ask(50ms);
    EXPECT_EQ(got, wanted);
    EXPECT_TRUE(worker.saw_token());
    EXPECT_TRUE(worker.becomes_ready());
    EXPECT_NE(MUST(worker.health("/metrics"))
                  .body.find("weft_dns_responses_total{rcode=\"NOERROR\",stage=\"cluster_zone\",transport=\"udp\"}"),
              std::string::npos);

    const auto status = read_file("/proc/" + std::to_string(worker.pid()) + "/status");
    ASSERT_TRUE(status);
    for (const char* line :
         {"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"}) {
        EXPECT_NE(status->find(line), std::string::npos) << line;
    }

    worker.stop_keeper();
    worker.cut_channel();
    EXPECT_EQ(ask(2s), wanted);
    EXPECT_TRUE(worker.lives());
}

}  // namespace
}  // namespace weft::dns
