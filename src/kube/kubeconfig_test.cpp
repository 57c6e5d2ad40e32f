#include <gtest/gtest.h>

#include "base/strings.h"
#include "kube/client.h"

namespace weft::kube {
namespace {

class Kubeconfig : public testing::Test {
protected:
    Kubeconfig() {
        char folder[] = "/tmp/weft-kubeconfig-XXXXXX";
        folder_ = mkdtemp(folder);
    }

    ~Kubeconfig() override { (void)remove_tree(folder_); }

    Result<Endpoint> read(std::string_view cluster, std::string_view user) {
        EXPECT_TRUE(write_file(folder_ + "/config",
                               fmt::format("apiVersion: v1\nkind: Config\ncurrent-context: c\n"
                                           "contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n"
                                           "clusters: [{{name: k, cluster: {}}}]\nusers: [{{name: u, user: {}}}]\n",
                                           cluster, user)));
        return read_kubeconfig(folder_ + "/config");
    }

    std::string folder_;
};

TEST_F(Kubeconfig, GivesServerCertificatesAndTokenFromDataOrFiles) {
    ASSERT_TRUE(write_file(folder_ + "/ca.crt", "CA"));
    const Result<Endpoint> endpoint = read("{server: 'https://10.0.0.1:6443/', certificate-authority: ca.crt}",
                                           "{token: t, client-certificate-data: " + base64_encode("CERT") +
                                               ", client-key-data: " + base64_encode("KEY") + "}");
    ASSERT_TRUE(endpoint) << endpoint.error().message;
    EXPECT_EQ(endpoint->url, "https://10.0.0.1:6443");
    EXPECT_EQ(endpoint->ca_pem, "CA");
    EXPECT_EQ(endpoint->token, "t");
    EXPECT_EQ(endpoint->client_cert_pem, "CERT");
    EXPECT_EQ(endpoint->client_key_pem, "KEY");
}

TEST_F(Kubeconfig, AUnixSocketIsAServerToo) {
    const Result<Endpoint> endpoint = read("{server: 'unix:///run/weft/d1/api.sock'}", "{tokenFile: token}");
    ASSERT_TRUE(endpoint) << endpoint.error().message;
    EXPECT_EQ(endpoint->unix_socket, "/run/weft/d1/api.sock");
    EXPECT_EQ(endpoint->token_file, folder_ + "/token");
}

TEST_F(Kubeconfig, WhatIsNotSupportedIsRefusedByName) {
    const struct {
        std::string_view cluster, user, names;
    } rows[] = {
        {"{server: 'https://a'}", "{exec: {command: aws}}", "exec"},
        {"{server: 'https://a', proxy-url: 'http://p'}", "{}", "proxy-url"},
        {"{server: 'ftp://a'}", "{}", "server"},
        {"{}", "{}", "server"},
        {"{server: 'https://a', certificate-authority-data: '!'}", "{}", "certificate-authority-data"},
        {"{server: 'https://a', certificate-authority: missing}", "{}", "certificate-authority"},
        {"{server: 'https://a'}", "{client-certificate-data: YQ==}", "client-key"},
    };
    for (const auto& row : rows) {
        const Result<Endpoint> endpoint = read(row.cluster, row.user);
        ASSERT_FALSE(endpoint) << row.cluster << row.user;
        EXPECT_NE(endpoint.error().message.find(row.names), std::string::npos) << endpoint.error().message;
    }
}

TEST_F(Kubeconfig, AMissingFileOrContextSaysWhich) {
    EXPECT_EQ(read_kubeconfig(folder_ + "/none").error().code, Code::not_found);
    ASSERT_TRUE(write_file(folder_ + "/config", "current-context: nowhere\ncontexts: []\n"));
    EXPECT_NE(read_kubeconfig(folder_ + "/config").error().message.find("nowhere"), std::string::npos);
}

}  // namespace
}  // namespace weft::kube
