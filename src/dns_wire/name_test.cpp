#include "dns_wire/name.h"

#include <gtest/gtest.h>

namespace weft::dns_wire {
namespace {

std::span<const uint8_t> bytes(const std::string& text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

TEST(NameTest, text_and_wire_form_say_the_same) {
    struct Row {
        std::string_view text, wire, back;
    };
    const Row rows[] = {
        {"", std::string_view("\0", 1), "."},
        {".", std::string_view("\0", 1), "."},
        {"web.default.", std::string_view("\3web\7default\0", 13), "web.default."},
        {"WEB.Default", std::string_view("\3WEB\7Default\0", 13), "WEB.Default."},
        {"a\\.b.c.", std::string_view("\3a.b\1c\0", 7), "a\\.b.c."},
        {"\\000\\255.", std::string_view("\2\0\377\0", 4), "\\000\\255."},
    };
    for (const Row& row : rows) {
        const Result<Name> name = Name::parse(row.text);
        ASSERT_TRUE(name) << row.text;
        EXPECT_EQ(name->wire(), row.wire) << row.text;
        EXPECT_EQ(name->text(), row.back) << row.text;
    }
}

TEST(NameTest, bad_text_is_refused) {
    const std::string long_label(64, 'a');
    std::string long_name;
    for (int i = 0; i < 52; ++i) long_name += "abcd.";
    for (const std::string& text : {std::string("a..b"), std::string(".a"), long_label, long_name, std::string("a\\"),
                                    std::string("a\\25"), std::string("a\\256."), std::string("a\\2x5.")}) {
        EXPECT_FALSE(Name::parse(text)) << text;
    }
}

TEST(NameTest, case_does_not_matter_but_is_kept) {
    const Name lower = *Name::parse("web.default.svc.cluster.local.");
    const Name mixed = *Name::parse("wEb.DEFAULT.svc.Cluster.Local.");
    EXPECT_EQ(lower, mixed);
    EXPECT_NE(lower.wire(), mixed.wire());
    EXPECT_EQ(lower.folded(), mixed.folded());
    EXPECT_EQ(mixed.text(), "wEb.DEFAULT.svc.Cluster.Local.");
}

TEST(NameTest, a_zone_holds_itself_and_what_is_below) {
    const Name zone = *Name::parse("cluster.local.");
    EXPECT_TRUE(zone.is_within(zone));
    EXPECT_TRUE(Name::parse("a.b.CLUSTER.local.")->is_within(zone));
    EXPECT_FALSE(Name::parse("mycluster.local.")->is_within(zone));
    EXPECT_FALSE(Name::parse("local.")->is_within(zone));
    EXPECT_TRUE(zone.is_within(Name()));
    EXPECT_EQ(zone.child("svc")->text(), "svc.cluster.local.");
    EXPECT_EQ(zone.parent().text(), "local.");
    EXPECT_FALSE(zone.child(std::string(64, 'x')));
}

TEST(NameTest, pointers_go_backwards_only) {
    struct Row {
        std::string message;
        size_t offset;
        std::string_view text;  // "" = refused
        size_t after;
    };
    using namespace std::string_literals;
    const Row rows[] = {
        {"\3foo\0\3bar\xc0\0"s, 5, "bar.foo.", 11},
        {"\3foo\0\3bar\xc0\0"s, 0, "foo.", 5},
        {"\xc0\0"s, 0, "", 0},                // itself
        {"\3foo\xc0\0"s, 0, "", 0},           // its own beginning
        {"\xc0\2\3foo\0"s, 0, "", 0},         // forward
        {"\xc0\2\xc0\0"s, 2, "", 0},          // two that point at each other
        {"\3fo"s, 0, "", 0},                  // cut label
        {"\3foo"s, 0, "", 0},                 // no end
        {"\xc0"s, 0, "", 0},                  // cut pointer
        {"\x40"s, 0, "", 0},                  // reserved label type
        {""s, 0, "", 0},
    };
    for (const Row& row : rows) {
        size_t offset = row.offset;
        const Result<Name> name = Name::read(bytes(row.message), offset);
        ASSERT_EQ(name.has_value(), !row.text.empty()) << testing::PrintToString(row.message);
        if (!name) continue;
        EXPECT_EQ(name->text(), row.text);
        EXPECT_EQ(offset, row.after);
    }
}

TEST(NameTest, a_name_of_more_than_255_bytes_is_refused_also_through_pointers) {
    std::string message;
    for (int i = 0; i < 4; ++i) message += '\x3f' + std::string(63, 'a');
    message += '\0';  // 257 bytes
    size_t offset = 0;
    EXPECT_FALSE(Name::read(bytes(message), offset));

    std::string pointed = "\x3f" + std::string(63, 'a') + "\x3f" + std::string(63, 'b') + "\x3f" + std::string(63, 'c');
    pointed += '\0';  // 193 bytes
    pointed += "\x3f" + std::string(63, 'd') + '\xc0' + '\0';
    offset = 193;
    EXPECT_FALSE(Name::read(bytes(pointed), offset));
}

}  // namespace
}  // namespace weft::dns_wire
