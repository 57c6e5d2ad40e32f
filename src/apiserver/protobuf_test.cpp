#include "apiserver/protobuf.h"

#include "apiserver/api_fixture.h"
#include "base/strings.h"

namespace weft::apiserver {
namespace {

std::string varint(uint64_t value) {
    std::string out;
    for (; value >= 0x80; value >>= 7) out += char(value | 0x80);
    return out + char(value);
}

std::string number(uint32_t field, uint64_t value) {
    return varint(field << 3) + varint(value);
}

std::string bytes(uint32_t field, std::string_view value) {
    return varint(field << 3 | 2) + varint(value.size()) + std::string(value);
}

std::string pair(uint32_t field, std::string_view key, std::string_view value) {
    return bytes(field, bytes(1, key) + bytes(2, value));
}

std::string envelope(std::string_view api_version, std::string_view kind, std::string_view message) {
    return std::string("k8s\0", 4) + bytes(1, bytes(1, api_version) + bytes(2, kind)) + bytes(2, message) +
           bytes(3, "") + bytes(4, "");
}

std::string text(const Outcome<json::Value>& value) {
    return value ? json::serialize(*value) : fmt::format("{} {}", value.error().code(), value.error().refusal.message);
}

// What a Go client sends of a name alone: every field that is no pointer, empty or not.
std::string metadata(std::string_view name) {
    return bytes(1, bytes(1, name) + bytes(2, "") + bytes(3, "") + bytes(5, "") + number(7, 0) + bytes(8, ""));
}

TEST(Protobuf, secrets_and_config_maps_API_20) {
    EXPECT_EQ(
        text(decode_protobuf(envelope("v1", "Secret", metadata("key") + pair(2, "token", "hush") + bytes(3, "a/b")))),
        R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"key"},"data":{"token":"aHVzaA=="},"type":"a/b"})");
    EXPECT_EQ(text(decode_protobuf(envelope("v1", "ConfigMap", metadata("m") + pair(2, "a", "") + number(4, 0)))),
              R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{"a":""},"immutable":false})");
}

TEST(Protobuf, a_zero_counts_where_go_has_a_pointer_API_20) {
    // replicas is one, minReadySeconds is none; maxSurge is a number, maxUnavailable a text.
    const std::string rolling =
        bytes(1, number(1, 1) + number(2, 0) + bytes(3, "25%")) + bytes(2, number(1, 0) + number(2, 1) + bytes(3, ""));
    const std::string spec = number(1, 0) + number(5, 0) + bytes(4, bytes(1, "RollingUpdate") + bytes(2, rolling));
    EXPECT_EQ(text(decode_protobuf(envelope("apps/v1", "Deployment", bytes(2, spec)))),
              R"({"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":0,"strategy":{"type":"RollingUpdate",)"
              R"("rollingUpdate":{"maxUnavailable":"25%","maxSurge":1}}}})");
}

TEST(Protobuf, fields_of_an_embedded_struct_and_other_forms_of_json_API_20) {
    const std::string limits = bytes(8, pair(1, "memory", bytes(1, "64Mi")));
    const std::string volume = bytes(1, bytes(1, "v") + bytes(2, bytes(2, bytes(1, ""))));
    EXPECT_EQ(text(decode_protobuf(envelope("v1", "Pod", bytes(2, volume + bytes(2, bytes(1, "c") + limits))))),
              R"({"apiVersion":"v1","kind":"Pod","spec":{"volumes":[{"name":"v","emptyDir":{}}],)"
              R"("containers":[{"name":"c","resources":{"limits":{"memory":"64Mi"}}}]}})");
    const std::string lease =
        bytes(2, bytes(1, "me") + number(2, 15) + bytes(3, number(1, 1764000000) + number(2, 5000)));
    EXPECT_EQ(text(decode_protobuf(envelope("coordination.k8s.io/v1", "Lease", lease))),
              R"({"apiVersion":"coordination.k8s.io/v1","kind":"Lease","spec":{"holderIdentity":"me",)"
              R"("leaseDurationSeconds":15,"acquireTime":"2025-11-24T16:00:00.000005Z"}})");
    EXPECT_EQ(text(decode_protobuf(envelope("v1", "DeleteOptions", number(1, 0) + bytes(4, "Foreground")))),
              R"({"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0,"propagationPolicy":"Foreground"})");
}

TEST(Protobuf, what_the_table_lacks_is_refused_by_name_API_20) {
    EXPECT_EQ(
        text(decode_protobuf(envelope("batch/v1", "Job", metadata("j")))),
        "415 protobuf is not spoken here for Job; JSON and YAML are: kubectl create ... --dry-run=client -o yaml | "
        "kubectl apply -f -");
    EXPECT_NE(text(decode_protobuf(envelope("v1", "Namespace", number(77, 1))))
                  .find("415 protobuf is not spoken here for "
                        "field 77 of Namespace"),
              std::string::npos);
    EXPECT_NE(text(decode_protobuf(envelope("v1", "Pod", bytes(2, bytes(1, bytes(2, bytes(9, ""))))))).find("415"),
              std::string::npos)
        << "a volume of a kind that is not served";
}

TEST(Protobuf, broken_bytes_are_400_API_20) {
    const std::string whole = envelope("v1", "ConfigMap", metadata("m") + pair(2, "a", "b"));
    ASSERT_TRUE(decode_protobuf(whole));
    size_t refused = 0;
    for (size_t size = 0; size < whole.size(); size++) refused += decode_protobuf(whole.substr(0, size)) ? 0 : 1;
    EXPECT_GT(refused, whole.size() / 2) << "cut anywhere but between two fields of the envelope";
    for (const std::string& bad :
         {std::string("{}"), envelope("v1", "ConfigMap", bytes(1, "\xff\xff\xff")),
          envelope("v1", "ConfigMap", number(1, 1)), envelope("v1", "ConfigMap", pair(2, "a", "\xff")),
          envelope("v1", "ConfigMap", "\x0d....")})
        EXPECT_EQ(decode_protobuf(bad).error().code(), 400) << text(decode_protobuf(bad));
}

class ProtobufApiTest : public ApiFixture {};

TEST_F(ProtobufApiTest, a_typed_client_creates_replaces_and_deletes_API_20_21) {
    const auto with = [](std::string body) {
        return Ask{.body = std::move(body),
                   .content_type = "application/vnd.kubernetes.protobuf",
                   .accept = "application/vnd.kubernetes.protobuf,application/json"};
    };
    const Answer made =
        send(fmt::format("POST {}", maps), with(envelope("v1", "ConfigMap", metadata("m") + pair(2, "a", "1"))));
    ASSERT_EQ(made.status, 201) << made.text;
    EXPECT_EQ(made.content_type, "application/json");
    EXPECT_EQ(made.string({"data", "a"}), "1");
    const Answer put =
        send("PUT " + path_of(maps, "m"), with(envelope("v1", "ConfigMap", metadata("m") + pair(2, "a", "2"))));
    ASSERT_EQ(put.status, 200) << put.text;
    EXPECT_EQ(
        send("DELETE " + path_of(maps, "m"), with(envelope("v1", "DeleteOptions", bytes(2, bytes(1, "no"))))).status,
        409);
    EXPECT_EQ(
        send("DELETE " + path_of(maps, "m"), with(envelope("v1", "DeleteOptions", bytes(4, "Background")))).status,
        200);
    EXPECT_EQ(send(fmt::format("POST {}", maps), with(envelope("v1", "Secret", metadata("m")))).status, 400)
        << "another kind";
    const Answer job = send(fmt::format("POST {}", maps), with(envelope("batch/v1", "Job", "")));
    EXPECT_EQ(job.status, 415);
    EXPECT_EQ(job.reason(), "UnsupportedMediaType");
}

}  // namespace
}  // namespace weft::apiserver
