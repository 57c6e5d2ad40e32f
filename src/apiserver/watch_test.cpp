// list and watch, rule by rule (spec/kubernetes.md §1.5, §1.10, API-22).
#include <thread>

#include "apiserver/api_fixture.h"

namespace weft::apiserver {
namespace {

class WatchTest : public ApiFixture {
protected:
    // Runs a watch until it has said `lines` lines.
    CollectingSink collect(std::string_view path, size_t lines, std::string accept = {}) {
        const Reply reply = raw("GET " + std::string(path), {.accept = std::move(accept)});
        EXPECT_EQ(reply.status, 200) << reply.body;
        CollectingSink sink(lines);
        if (reply.stream) reply.stream(sink);
        return sink;
    }

    static size_t items(const Answer& answer) {
        const json::Array* array = json::find_array(answer.body, {"items"});
        return array == nullptr ? 0 : array->size();
    }

    std::string watch_path(std::string_view query) { return fmt::format("{}?watch=1&{}", maps, query); }
};

TEST_F(WatchTest, a_list_has_a_revision_an_order_and_every_namespace_API_1_45) {
    ASSERT_EQ(post("/api/v1/namespaces/kube-system/configmaps", config_map("x")).status, 201);
    for (const char* name : {"b", "a"}) ASSERT_EQ(post(maps, config_map(name)).status, 201);
    const Answer all = get("/api/v1/configmaps");
    EXPECT_EQ(all.string({"kind"}), "ConfigMapList");
    EXPECT_EQ(all.string({"apiVersion"}), "v1");
    EXPECT_EQ(all.revision(), std::to_string(log_->revision()));
    ASSERT_EQ(items(all), 3u);
    EXPECT_EQ(json::find_string(all.body.at("items").as_array()[0], {"metadata", "name"}), "a");
    EXPECT_EQ(items(get(maps)), 2u);
}

TEST_F(WatchTest, chunks_show_one_snapshot_and_the_last_has_no_token_API_49) {
    for (const char* name : {"a", "b", "c"}) ASSERT_EQ(post(maps, config_map(name)).status, 201);
    const Answer first = get(fmt::format("{}?limit=2", maps));
    EXPECT_EQ(items(first), 2u);
    EXPECT_EQ(json::find_int(first.body, {"metadata", "remainingItemCount"}), 1);
    const std::string token(first.string({"metadata", "continue"}));
    ASSERT_FALSE(token.empty());
    ASSERT_EQ(post(maps, config_map("bb")).status, 201);
    const Answer second = get(fmt::format("{}?limit=2&continue={}", maps, token));
    EXPECT_EQ(items(second), 1u);
    EXPECT_EQ(second.revision(), first.revision());
    EXPECT_TRUE(second.string({"metadata", "continue"}).empty());
    EXPECT_EQ(get(fmt::format("{}?continue=rubbish", maps)).status, 400);
    EXPECT_EQ(get(fmt::format("{}?continue={}&resourceVersion=5", maps, token)).status, 400);
    EXPECT_EQ(get(fmt::format("{}?limit=-1", maps)).status, 422);
    EXPECT_EQ(get(fmt::format("{}?limit=x", maps)).status, 400);

    ASSERT_TRUE(log_->compact(log_->revision()));
    const Answer late = get(fmt::format("{}?limit=2&continue={}", maps, token));
    EXPECT_EQ(late.status, 410);
    EXPECT_EQ(late.reason(), "Expired");
    const std::string fresh(late.string({"metadata", "continue"}));
    EXPECT_EQ(items(get(fmt::format("{}?continue={}", maps, fresh))), 2u) << "the rest at the newest revision";
}

TEST_F(WatchTest, resource_versions_of_lists_API_46_47_48) {
    const Answer created = post(maps, config_map("a"));
    const std::string then(created.revision());
    ASSERT_EQ(post(maps, config_map("b")).status, 201);
    EXPECT_EQ(items(get(fmt::format("{}?resourceVersion={}&resourceVersionMatch=Exact", maps, then))), 1u);
    EXPECT_EQ(items(get(fmt::format("{}?resourceVersion={}&resourceVersionMatch=NotOlderThan", maps, then))), 2u);
    EXPECT_EQ(items(get(fmt::format("{}?resourceVersion=0", maps))), 2u);
    EXPECT_EQ(get(fmt::format("{}?resourceVersion=x", maps)).status, 400);
    EXPECT_EQ(get(fmt::format("{}?resourceVersionMatch=Exact", maps)).status, 422);
    EXPECT_EQ(get(fmt::format("{}?resourceVersion=0&resourceVersionMatch=Exact", maps)).status, 422);
    EXPECT_EQ(get(fmt::format("{}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan", maps)).status, 422);
    ASSERT_TRUE(log_->compact(log_->revision()));
    EXPECT_EQ(get(fmt::format("{}?resourceVersion={}&resourceVersionMatch=Exact", maps, then)).status, 410);
}

TEST_F(WatchTest, selectors_narrow_lists_and_bad_ones_are_named_API_50_51) {
    ASSERT_EQ(post(pods, pod("a", "n1")).status, 201);
    ASSERT_EQ(post(pods, pod("b", "n2")).status, 201);
    const auto count = [&](std::string_view query) { return items(get(fmt::format("{}?{}", pods, query))); };
    EXPECT_EQ(count("labelSelector=app%3Da"), 1u);
    EXPECT_EQ(count("labelSelector=app%20in%20(a,b),!x"), 2u);
    EXPECT_EQ(count("labelSelector=app!%3Da"), 1u);
    EXPECT_EQ(count("fieldSelector=spec.nodeName%3Dn2"), 1u);
    EXPECT_EQ(count("fieldSelector=metadata.name!%3Da,status.phase%3DPending"), 1u);
    EXPECT_EQ(get(fmt::format("{}?labelSelector=a%20b", pods)).status, 400);
    EXPECT_EQ(get(fmt::format("{}?fieldSelector=spec.foo%3D1", pods)).message(), "field label not supported: spec.foo");
}

TEST_F(WatchTest, a_watch_without_revision_shows_what_is_there_then_changes_API_52_53) {
    ASSERT_EQ(post(maps, config_map("a")).status, 201);
    std::jthread writer([&] {
        post(maps, config_map("b"));
        merge(path_of(maps, "a"), R"({"data":{"a":"2"}})");
        remove(path_of(maps, "b"));
    });
    const auto sink = collect(watch_path(""), 4);
    writer.join();
    EXPECT_EQ(sink.lines(), (std::vector<std::string>{"ADDED a", "ADDED b", "MODIFIED a", "DELETED b"}));
    const auto& removal = sink.events().back();
    EXPECT_EQ(json::find_string(removal, {"object", "metadata", "resourceVersion"}), std::to_string(log_->revision()));
}

TEST_F(WatchTest, a_watch_from_a_revision_tells_every_later_change_once_API_52) {
    const std::string from(post(maps, config_map("a")).revision());
    ASSERT_EQ(post(maps, config_map("b")).status, 201);
    ASSERT_EQ(remove(path_of(maps, "a")).status, 200);
    EXPECT_EQ(collect(watch_path("resourceVersion=" + from), 2).lines(),
              (std::vector<std::string>{"ADDED b", "DELETED a"}));
    ASSERT_TRUE(log_->compact(log_->revision()));
    const auto old = collect(watch_path("resourceVersion=" + from), 1);
    EXPECT_EQ(old.lines(), std::vector<std::string>{"ERROR"});
    EXPECT_EQ(json::find_int(old.events()[0], {"object", "code"}), 410);
    EXPECT_EQ(json::find_string(old.events()[0], {"object", "reason"}), "Expired");
    EXPECT_EQ(get(watch_path("resourceVersion=x")).status, 400);
}

TEST_F(WatchTest, an_object_that_stops_matching_is_deleted_for_this_watcher_API_53) {
    const std::string from = std::to_string(log_->revision());
    ASSERT_EQ(post(maps, config_map("a")).status, 201);
    ASSERT_EQ(merge(path_of(maps, "a"), R"({"metadata":{"labels":{"on":"1"}}})").status, 200);
    ASSERT_EQ(merge(path_of(maps, "a"), R"({"metadata":{"labels":{"on":"2"}}})").status, 200);
    ASSERT_EQ(merge(path_of(maps, "a"), R"({"metadata":{"labels":null}})").status, 200);
    EXPECT_EQ(collect(watch_path("labelSelector=on&resourceVersion=" + from), 3).lines(),
              (std::vector<std::string>{"ADDED a", "MODIFIED a", "DELETED a"}));
}

TEST_F(WatchTest, send_initial_events_ends_with_its_bookmark_API_57) {
    ASSERT_EQ(post(maps, config_map("a")).status, 201);
    const auto sink = collect(
        watch_path(
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion="),
        2);
    EXPECT_EQ(sink.lines(), (std::vector<std::string>{"ADDED a", "BOOKMARK"}));
    EXPECT_EQ(json::find_string(sink.events()[1], {"object", "metadata", "annotations", "k8s.io/initial-events-end"}),
              "true");
    EXPECT_EQ(json::find_string(sink.events()[1], {"object", "kind"}), "ConfigMap");
    EXPECT_EQ(get(watch_path("sendInitialEvents=true")).status, 422);
    EXPECT_EQ(get(watch_path("resourceVersionMatch=NotOlderThan&resourceVersion=1")).status, 422);
}

TEST_F(WatchTest, a_watch_ends_in_time_with_a_last_bookmark_API_55_56_60) {
    const std::string from = std::to_string(log_->revision());
    ASSERT_EQ(post(maps, config_map("other")).status, 201);
    const auto sink = collect(
        fmt::format("{}/mine?watch=1&timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion={}", maps, from), 9);
    ASSERT_EQ(sink.lines(), std::vector<std::string>{"BOOKMARK"});
    EXPECT_EQ(json::find_string(sink.events()[0], {"object", "metadata", "resourceVersion"}),
              std::to_string(log_->revision()));
}

TEST_F(WatchTest, tables_and_partial_metadata_API_22_59) {
    ASSERT_EQ(post(pods, pod("a", "n1")).status, 201);
    const std::string table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    const Answer listed = get(pods, table);
    EXPECT_EQ(listed.string({"kind"}), "Table");
    EXPECT_EQ(json::find_string(listed.body.at("columnDefinitions").as_array()[0], {"name"}), "Name");
    EXPECT_EQ(listed.body.at("rows").as_array().size(), 1u);
    EXPECT_EQ(listed.revision(), std::to_string(log_->revision()));
    EXPECT_EQ(get(path_of(pods, "a"), table).string({"kind"}), "Table");
    EXPECT_EQ(get(pods, "application/json;as=Table;v=v9;g=meta.k8s.io,application/json").string({"kind"}), "PodList");
    EXPECT_EQ(get(pods, "application/vnd.kubernetes.protobuf, */*").string({"kind"}), "PodList");
    EXPECT_EQ(get(pods, "application/vnd.kubernetes.protobuf").status, 406);
    EXPECT_EQ(get(pods, "application/json;q=0.5, application/yaml;q=0.9").content_type, "application/yaml");
    EXPECT_EQ(get(pods, "application/yaml;q=0, application/json;q=0.1").content_type, "application/json");
    EXPECT_EQ(get(path_of(pods, "a"), "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io").string({"kind"}),
              "PartialObjectMetadata");
    ASSERT_EQ(merge(path_of(pods, "a"), R"({"metadata":{"labels":{"x":"y"}}})").status, 200);
    const auto sink = collect(fmt::format("{}?watch=1&resourceVersion={}", pods, listed.revision()), 1, table);
    EXPECT_EQ(json::find_string(sink.events()[0], {"object", "kind"}), "Table");
}

}  // namespace
}  // namespace weft::apiserver
