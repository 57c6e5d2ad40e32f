#include "agent/port_watch.h"

#include <gtest/gtest.h>

namespace weft::agent {
namespace {

constexpr auto tcp = net::Protocol::tcp, udp = net::Protocol::udp;

constexpr std::string_view tcp_table =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 00000000:7580 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"
    "   1: 0100007F:7581 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0\n"
    "   2: 010112C6:7582 0200000A:01BB 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1\n"
    "   3: 010112C6:7583 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4 1 0 100 0 0 10 0\n";
constexpr std::string_view udp6_table =
    "  sl  local_address                         remote_address                        st tx_queue rx_queue\n"
    "  10: 00000000000000000000000000000000:7580 00000000000000000000000000000000:0000 07 00000000:00000000 "
    "00:00000000\n"
    "  11: 00000000000000000000000001000000:7581 00000000000000000000000000000000:0000 07 00000000:00000000 "
    "00:00000000\n"
    "  12: 0000000000000000FFFF00000100007F:7582 00000000000000000000000000000000:0000 07 00000000:00000000 "
    "00:00000000\n";

kube::Object service(std::string_view ports) {
    return kube::Object(MUST(
        json::parse_yaml("metadata: {name: web, namespace: default}\nspec: {ports: " + std::string(ports) + "}"))[0]);
}

TEST(PortWatch, reads_which_ports_are_taken_for_everybody) {
    EXPECT_EQ(listening_in(tcp_table, tcp), (std::set<NodePort>{{tcp, 30080}, {tcp, 30083}}));
    EXPECT_EQ(listening_in(udp6_table, udp), (std::set<NodePort>{{udp, 30080}}));
    EXPECT_TRUE(listening_in("", tcp).empty());
    EXPECT_TRUE(listening_in("0: nonsense\n1: 00000000:XYZW 0:0 0A\n2: 00000000 0:0 0A\n", tcp).empty());
}

// DP-13
TEST(PortWatch, DP13_a_service_hears_once_of_a_program_at_its_node_port) {
    std::set<NodePort> listening{{tcp, 30080}, {udp, 30081}};
    std::vector<std::string> heard;
    PortWatch watch([&] { return listening; },
                    [&](const kube::ObjectKey& key, std::string_view message) {
                        heard.push_back(key.text() + ": " + std::string(message));
                    });
    const kube::Object web = service("[{port: 80, nodePort: 30080}, {port: 81, nodePort: 30081}, {port: 82}]");
    const std::map<kube::ObjectKey, std::set<NodePort>> services{{web.key(), node_ports_of(web)}};
    watch.look(services);
    ASSERT_EQ(heard.size(), 1u) << "30081 is taken for UDP, and the Service's is TCP";
    EXPECT_EQ(heard[0].substr(0, 32), "default/web: nodePort 30080/TCP:") << heard[0];
    watch.look(services);
    EXPECT_EQ(heard.size(), 1u);
    listening.clear();
    watch.look(services);
    listening = {{tcp, 30080}};
    watch.look(services);
    EXPECT_EQ(heard.size(), 2u) << "it went, and came again";
}

}  // namespace
}  // namespace weft::agent
