#include "controller/ordinals.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weft::controller {
namespace {

using Makes = std::vector<OrdinalStep::Make>;
using Ends = std::vector<int64_t>;

OrdinalPod good(int64_t ordinal) { return {ordinal, true, true, false, false}; }
OrdinalPod old(int64_t ordinal) { return {ordinal, false, true, false, false}; }
OrdinalPod starting(int64_t ordinal) { return {ordinal, true, false, false, false}; }
OrdinalPod ending(int64_t ordinal) { return {ordinal, true, true, false, true}; }

OrdinalSettings of(int64_t replicas) { return {.replicas = replicas}; }

TEST(Ordinals, are_made_one_after_the_other_each_awaited) {
    EXPECT_EQ(next_step(of(3), {}).makes, (Makes{{0, true}}));
    EXPECT_EQ(next_step(of(3), {starting(0)}).makes, Makes{});
    EXPECT_EQ(next_step(of(3), {good(0)}).makes, (Makes{{1, true}}));
    EXPECT_EQ(next_step(of(3), {good(0), good(2)}).makes, (Makes{{1, true}}));
    EXPECT_EQ(next_step(of(3), {ending(0)}).makes, Makes{});
}

TEST(Ordinals, are_made_and_ended_at_once_in_parallel) {
    OrdinalSettings settings = of(3);
    settings.parallel = true;
    EXPECT_EQ(next_step(settings, {starting(1)}).makes, (Makes{{0, true}, {2, true}}));
    settings.replicas = 1;
    EXPECT_EQ(next_step(settings, {good(0), good(1), starting(2), ending(3)}).ends, (Ends{2, 1}));
}

TEST(Ordinals, shrink_from_the_highest_one_at_a_time) {
    EXPECT_EQ(next_step(of(1), {good(0), good(1), good(2)}).ends, Ends{2});
    EXPECT_EQ(next_step(of(1), {good(0), good(1), ending(2)}).ends, Ends{});
    EXPECT_EQ(next_step(of(1), {starting(0), good(1)}).ends, Ends{});  // nothing shrinks while a place is not filled
    EXPECT_EQ(next_step(of(1), {good(0), good(1), starting(2)}).ends, Ends{2});
    EXPECT_EQ(next_step(of(1), {good(0), starting(1), starting(2)}).ends, Ends{});  // the lower one may yet become good
    EXPECT_EQ(next_step(of(0), {good(0)}).ends, Ends{0});
}

TEST(Ordinals, are_updated_from_the_highest_down_to_the_partition) {
    OrdinalSettings settings = of(3);
    EXPECT_EQ(next_step(settings, {old(0), old(1), old(2)}).ends, Ends{2});
    EXPECT_EQ(next_step(settings, {old(0), old(1), good(2)}).ends, Ends{1});
    EXPECT_EQ(next_step(settings, {old(0), old(1), starting(2)}).ends, Ends{});
    settings.partition = 2;
    EXPECT_EQ(next_step(settings, {old(0), old(1), good(2)}).ends, Ends{});
    EXPECT_EQ(next_step(settings, {old(0), good(2)}).makes, (Makes{{1, false}}));  // below: from the current template
    settings.partition = 0;
    settings.on_delete = true;
    EXPECT_EQ(next_step(settings, {old(0), old(1), old(2)}).ends, Ends{});
    EXPECT_EQ(next_step(settings, {old(0), old(2)}).makes, (Makes{{1, true}}));
}

TEST(Ordinals, as_many_are_updated_at_a_time_as_may_be_unavailable) {
    OrdinalSettings settings = of(4);
    settings.unavailable_max = 2;
    EXPECT_EQ(next_step(settings, {old(0), old(1), old(2), old(3)}).ends, (Ends{3, 2}));
    settings.parallel = true;
    EXPECT_EQ(next_step(settings, {old(0), old(1), starting(2), ending(3)}).ends, Ends{});
    EXPECT_EQ(next_step(settings, {old(0), old(1), starting(2), good(3)}).ends, Ends{1});
    settings.partition = 1;
    EXPECT_EQ(next_step(settings, {old(0), old(1), good(2), good(3)}).ends, Ends{1});
    const auto wished = [](std::string_view wish) {
        return ordinal_settings(MUST(json::parse(fmt::format(
            R"({{"spec":{{"replicas":10,"updateStrategy":{{"rollingUpdate":{{"maxUnavailable":{}}}}}}}}})", wish)))).unavailable_max;
    };
    EXPECT_EQ(wished("3"), 3);
    EXPECT_EQ(wished("\"25%\""), 2);
    EXPECT_EQ(wished("\"5%\""), 1) << "never none";
    EXPECT_EQ(ordinal_settings(json::Object{}).unavailable_max, 1);
}

TEST(Ordinals, that_ran_to_their_end_are_made_again) {
    EXPECT_EQ(next_step(of(2), {{0, true, false, true, false}, good(1)}).ends, Ends{0});
    EXPECT_EQ(next_step(of(2), {{0, true, false, true, true}, good(1)}), (OrdinalStep{}));
}

TEST(Ordinals, start_where_the_set_says) {
    OrdinalSettings settings = of(2);
    settings.start = 5;
    settings.partition = 1;
    EXPECT_EQ(next_step(settings, {good(5)}).makes, (Makes{{6, true}}));
    EXPECT_EQ(next_step(settings, {good(0), good(5), good(6)}).ends, Ends{0});
    EXPECT_EQ(next_step(settings, {old(5), old(6)}).ends, Ends{6});
    EXPECT_EQ(next_step(settings, {old(5), good(6)}).ends, Ends{});
}

TEST(Ordinals, are_read_from_names_of_the_set_only) {
    EXPECT_EQ(ordinal_of("db", "db-7"), 7);
    EXPECT_EQ(ordinal_of("db", "db-0"), 0);
    for (const char* name : {"db-07", "db-", "db", "db-x", "dbx-1", "db-1-2", "db-12345678901"})
        EXPECT_EQ(ordinal_of("db", name), std::nullopt) << name;
}

}  // namespace
}  // namespace weft::controller
