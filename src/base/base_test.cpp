#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/delta.h"
#include "base/fd.h"
#include "base/instance.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/published.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/rollback.h"
#include "base/strings.h"

#include <gtest/gtest.h>

namespace weft {

static Status outer(bool ok) {
    const auto inner = [&]() -> Result<int> {
        if (!ok) return fail(Code::not_found, "no such veth");
        return 7;
    };
    const int value = TRY_IN("attach", inner());
    return value == 7 ? Status{} : fail(Code::io, "?");
}

TEST(Result, an_error_reads_outside_in_and_keeps_its_code) {
    EXPECT_TRUE(outer(true));
    const Status status = outer(false);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, "attach: no such veth");
    EXPECT_EQ(status.error().code, Code::not_found);
}

TEST(Result, errno_maps_to_the_few_codes) {
    EXPECT_EQ(errno_error(ENOENT, "x").code, Code::not_found);
    EXPECT_EQ(errno_error(E2BIG, "x").code, Code::exhausted);
    EXPECT_EQ(errno_error(EPERM, "x").code, Code::denied);
    EXPECT_EQ(errno_error(EIO, "x").code, Code::io);
}

TEST(Delta, names_puts_and_deletes_and_nothing_else) {
    const std::map<int, int> have{{1, 1}, {2, 2}, {4, 4}};
    const std::map<int, int> want{{2, 2}, {3, 3}, {4, 5}};
    const auto delta = diff(have, want);
    EXPECT_EQ(delta.puts, (std::vector<std::pair<int, int>>{{3, 3}, {4, 5}}));
    EXPECT_EQ(delta.deletes, std::vector<int>{1});
    EXPECT_TRUE(diff(want, want).empty());
}

TEST(Rollback, runs_last_first_unless_dismissed) {
    std::string order;
    {
        Rollback rollback;
        rollback.on_failure([&] { order += "a"; });
        rollback.on_failure([&] { order += "b"; });
    }
    EXPECT_EQ(order, "ba");
    {
        Rollback rollback;
        rollback.on_failure([&] { order += "c"; });
        rollback.dismiss();
    }
    EXPECT_EQ(order, "ba");
}

TEST(Published, a_reader_sees_the_newest_whole_snapshot) {
    Published<int> published(std::make_shared<int>(1));
    Published<int>::Reader reader(published);
    EXPECT_EQ(reader.current(), 1);
    const auto held = reader.hold();
    published.publish(std::make_shared<int>(2));
    EXPECT_EQ(reader.current(), 2);
    EXPECT_EQ(*held, 1);
}

TEST(Published, readers_and_a_writer_in_threads_never_tear) {
    struct Pair {
        int a, b;
    };

    Published<Pair> published(std::make_shared<Pair>(Pair{0, 0}));
    std::atomic<bool> done{false};
    std::thread reader([&] {
        Published<Pair>::Reader mine(published);
        while (!done) {
            const Pair& now = mine.current();
            EXPECT_EQ(now.a, now.b);
        }
    });
    for (int i = 0; i < 10000; i++) published.publish(std::make_shared<Pair>(Pair{i, i}));
    done = true;
    reader.join();
}

TEST(Clock, rfc3339_round_trips) {
    WallTime time;
    ASSERT_TRUE(parse_rfc3339("2026-11-24T01:02:03Z", time));
    EXPECT_EQ(rfc3339(time), "2026-11-24T01:02:03Z");
    ASSERT_TRUE(parse_rfc3339("2026-11-24T03:02:03.000456+02:00", time));
    EXPECT_EQ(rfc3339_micro(time), "2026-11-24T01:02:03.000456Z");
    for (const char* bad : {"", "2026-11-24", "2026-11-24T01:02:03", "2026-11-24T01:02:03Zx", "yesterday"})
        EXPECT_FALSE(parse_rfc3339(bad, time)) << bad;
}

TEST(Strings, lists_and_numbers) {
    EXPECT_EQ(split_list(" a, b ,,c "), (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_EQ(split("", ',').size(), 1u);
    EXPECT_EQ(parse_unsigned("18446744073709551615"), UINT64_MAX);
    for (const char* bad : {"", "-1", "+1", "1x", "18446744073709551616"}) EXPECT_FALSE(parse_unsigned(bad)) << bad;
}

TEST(Strings, dns_names) {
    for (const char* good : {"a", "web-0", "0a"}) EXPECT_TRUE(is_dns1123_label(good)) << good;
    for (const char* bad : {"", "-a", "a-", "A", "a.b", "a_b"}) EXPECT_FALSE(is_dns1123_label(bad)) << bad;
    EXPECT_FALSE(is_dns1123_label(std::string(64, 'a')));
    EXPECT_TRUE(is_dns1123_subdomain("a.b-c.d"));
    for (const char* bad : {"", ".", "a..b", "a.-b", "a."}) EXPECT_FALSE(is_dns1123_subdomain(bad)) << bad;
}

TEST(Strings, base64_round_trips_every_length) {
    std::string bytes;
    for (int n = 0; n < 70; n++) {
        EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
        bytes += char(n * 37);
    }
    EXPECT_EQ(base64_encode("weft"), "d2VmdA==");
    for (const char* bad : {"a", "ab=", "a===", "ab!=", "====", "ab==cd=="}) EXPECT_FALSE(base64_decode(bad)) << bad;
}

TEST(Rng, the_same_seed_replays_and_below_is_in_range) {
    Rng a(42);
    Rng b(42);
    for (int i = 0; i < 1000; i++) {
        EXPECT_EQ(a.next(), b.next());
        EXPECT_LT(a.below(10), 10u);
        b.below(10);
    }
    EXPECT_NE(random_uuid(), random_uuid());
    EXPECT_EQ(random_uuid()[14], '4');
}

TEST(Instance, names_are_short_and_plain) {
    EXPECT_TRUE(Instance::parse("weft"));
    for (const char* bad : {"", "Weft", "a-b", "a/b", "..", "0123456789abc"}) EXPECT_FALSE(Instance::parse(bad)) << bad;
    EXPECT_TRUE(check_node_name("node-1"));
    for (const char* bad : {"", "fabric", "internet", "tokens", "bpf", "A", "a/b"}) EXPECT_FALSE(check_node_name(bad)) << bad;
    const Instance i = MUST(Instance::parse("x1"));
    EXPECT_EQ(i.vpc_netns("n1", 7), "weft-x1-n1-v7");
    EXPECT_EQ(i.agent_socket("n1"), "/run/weft/x1/n1/agent.sock");
}

TEST(Json, keeps_order_and_64_bit_integers_exact) {
    const std::string text = R"({"z":9223372036854775807,"a":[1,-2,true,null],"b":{"c":"d"}})";
    const json::Value value = MUST(json::parse(text));
    EXPECT_EQ(json::serialize(value), text);
    EXPECT_EQ(json::find_int(value, {"z"}), INT64_MAX);
    EXPECT_EQ(json::find_string(value, {"b", "c"}), "d");
    EXPECT_EQ(json::find_string(value, {"b", "x"}, "none"), "none");
    EXPECT_EQ(json::find(value, {"a", "x"}), nullptr);
}

TEST(Json, names_the_members_given_twice) {
    std::vector<std::string> twice;
    const json::Value value = MUST(json::parse(R"({"a":{"b":1,"b":2},"c":[{"d":"\"","d":3}],"e":{}})", &twice));
    EXPECT_EQ(twice, (std::vector<std::string>{"a.b", "c[0].d"}));
    EXPECT_EQ(json::find_int(value, {"a", "b"}), 2);
}

TEST(Json, refuses_garbage_depth_and_bad_utf8) {
    EXPECT_FALSE(json::parse("{\"a\":"));
    EXPECT_FALSE(json::parse("{} x"));
    EXPECT_FALSE(json::parse(std::string(json::json_depth_max + 1, '[')));
    EXPECT_FALSE(json::parse("\"\xff\xfe\""));
    EXPECT_EQ(json::parse(std::string(json::json_bytes_max + 1, ' ')).error().code, Code::exhausted);
}

TEST(Json, set_and_erase_make_and_keep_what_is_around) {
    json::Value value = json::Object{};
    json::set(value, {"metadata", "labels", "a"}, "1");
    json::set(value, {"metadata", "name"}, "x");
    json::set(value, {"metadata", "labels", "b"}, "2");
    EXPECT_EQ(json::serialize(value), R"({"metadata":{"labels":{"a":"1","b":"2"},"name":"x"}})");
    json::erase(value, {"metadata", "labels", "a"});
    json::erase(value, {"nothing", "here"});
    EXPECT_EQ(json::serialize(value), R"({"metadata":{"labels":{"b":"2"},"name":"x"}})");
}

TEST(Json, yaml_scalars_resolve_as_kubernetes_reads_them) {
    const auto documents = MUST(json::parse_yaml("a: 1\nb: \"1\"\nc: true\nd: ~\ne: 1.5\nf: 10.0.0.1\ng: [x, 'y']\n---\n---\nk: |\n  t\n"));
    ASSERT_EQ(documents.size(), 2u);
    EXPECT_EQ(json::serialize(documents[0]),
              R"({"a":1,"b":"1","c":true,"d":null,"e":1.5E0,"f":"10.0.0.1","g":["x","y"]})");
    EXPECT_EQ(json::find_string(documents[1], {"k"}), "t\n");
    EXPECT_FALSE(json::parse_yaml("a: [1"));
}

TEST(Json, yaml_aliases_that_multiply_are_refused) {
    std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 9; i++) {
        const std::string before = "*a" + std::to_string(i - 1);
        text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
        for (int j = 0; j < 10; j++) text += (j == 0 ? "" : ", ") + before;
        text += "]\n";
    }
    EXPECT_EQ(json::parse_yaml(text).error().message, "yaml: more than 1000000 values");
}

TEST(Json, yaml_written_reads_back_the_same) {
    const json::Value value = MUST(json::parse(R"({"a":"1","b":"true","c":"x: y","d":[{"e":"","f":[]},{}],"g":"l1\nl2\n","h":"#x"})"));
    const auto back = MUST(json::parse_yaml(json::to_yaml(value)));
    ASSERT_EQ(back.size(), 1u);
    EXPECT_EQ(json::serialize(back[0]), json::serialize(value));
}

TEST(Files, written_whole_with_their_mode_and_read_back) {
    const std::string folder = "/tmp/weft-base-test-" + std::to_string(::getpid());
    ASSERT_TRUE(make_directories(folder + "/a/b"));
    ASSERT_TRUE(write_file(folder + "/a/b/token", "secret", 0600));
    EXPECT_EQ(MUST(read_file(folder + "/a/b/token")), "secret");
    struct stat info{};
    ASSERT_EQ(stat((folder + "/a/b/token").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
    EXPECT_TRUE(remove_tree(folder));
    EXPECT_TRUE(remove_tree(folder));
    EXPECT_EQ(read_file(folder + "/a/b/token").error().code, Code::not_found);
}

TEST(Files, a_lock_is_one_holders_until_it_closes) {
    const std::string path = "/tmp/weft-base-test-lock-" + std::to_string(getpid());
    Fd first = MUST(lock_file(path));
    EXPECT_EQ(lock_file(path).error().code, Code::conflict);
    first.reset();
    EXPECT_TRUE(lock_file(path).has_value());
    ::unlink(path.c_str());
    EXPECT_EQ(lock_file("/nowhere/at/all").error().code, Code::not_found);
}

TEST(Metrics, shows_each_label_set_once) {
    metrics::counter("weft_test_total", {{"kind", "a\"b"}}, "things").add(3);
    metrics::counter("weft_test_total", {{"kind", "a\"b"}}).add();
    const std::string text = metrics::render();
    EXPECT_NE(text.find("# HELP weft_test_total things\n# TYPE weft_test_total counter\nweft_test_total{kind=\"a\\\"b\"} 4\n"),
              std::string::npos);
}

}  // namespace weft
