// Ten thousand Services into one real API server, by eight clients at once, within 30 s; then listed, in one and in
// pages.
//
// The figure that counts is printed; bench/api/run has the rest. Spec: API-49, API-135, SVC-50.
#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "base/clock.h"
#include "support/api_process.h"

namespace weft::test {
namespace {

constexpr int services = 10'000, clients = 8, namespaces = 4;
constexpr double seconds_max = 30;

double seconds_since(MonotonicTime start) {
    return std::chrono::duration<double>(system_clock().now() - start).count();
}

// API-135
TEST(ApiLoad, ten_thousand_services_in_thirty_seconds) {
    ApiProcess api('l');
    ASSERT_EQ(api.start(), "");
    const auto client = kube::connect(api.endpoint());
    kube::Object vpc = kube::Object::of(kube::vpcs, {"", "vpc-load"});
    vpc.set({"spec"}, json::Value(json::Object{
                          {"cidrBlock", "10.0.0.0/16"}, {"serviceCIDR", "172.20.0.0/16"}, {"default", true}}));
    ASSERT_TRUE(client->create(kube::vpcs, vpc));
    for (int i = 0; i < namespaces; i++)
        ASSERT_TRUE(
            client->create(kube::namespaces, kube::Object::of(kube::namespaces, {"", fmt::format("load-{}", i)})));

    std::atomic<int> next{0}, failed{0};
    MonotonicTime start = system_clock().now();
    {
        std::vector<std::jthread> workers;
        for (int t = 0; t < clients; t++)
            workers.emplace_back([&] {
                for (int i; (i = next++) < services;) {
                    kube::Object service = kube::Object::of(
                        kube::services, {fmt::format("load-{}", i % namespaces), fmt::format("s{}", i)});
                    service.set({"spec"},
                                json::Value(json::Object{{"selector", json::Object{{"app", "a"}}},
                                                         {"ports", json::Array{json::Object{{"port", 80}}}}}));
                    const auto made = client->create(kube::services, service);
                    if (!made && failed++ == 0) ADD_FAILURE() << made.error().message;
                }
            });
    }
    const double loaded = seconds_since(start);
    EXPECT_EQ(failed, 0);
    start = system_clock().now();
    const auto listed = client->list(kube::services);
    const double paged = seconds_since(start);
    ASSERT_TRUE(listed) << listed.error().message;
    ASSERT_EQ(listed->items.size(), size_t(services));
    std::set<std::string> addresses;
    for (const kube::Object& service : listed->items) addresses.emplace(service.string({"spec", "clusterIP"}));
    EXPECT_EQ(addresses.size(), size_t(services)) << "each has an address of its own";
    start = system_clock().now();
    const auto whole = kube::raw_request(api.endpoint(), "GET", "/api/v1/services", "", "", "application/json");
    ASSERT_TRUE(whole && whole->status == 200);
    fmt::print(
        "{} Services by {} clients in {:.2f} s; listed in pages in {:.2f} s, in one reply of {} KiB in {:.2f} s\n",
        services, clients, loaded, paged, whole->body.size() / 1024, seconds_since(start));
    EXPECT_LE(loaded, seconds_max);
}

}  // namespace
}  // namespace weft::test

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
