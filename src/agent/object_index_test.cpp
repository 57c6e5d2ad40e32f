#include "agent/object_index.h"

#include "kube/fake_client.h"

namespace weft::agent {
namespace {

std::string node_of(const kube::Object& block) { return std::string(block.string({"spec", "node"})); }

kube::Object block(const std::string& name, const std::string& node) {
    kube::Object object = kube::Object::of(kube::address_blocks, {"", name});
    object.set({"spec"}, json::Object{{"node", node}});
    return object;
}

std::string names(const ObjectIndex& index, std::string_view text) {
    std::string all;
    for (const auto& [key, object] : index.under(text)) all += (all.empty() ? "" : " ") + key.name;
    return all;
}

TEST(ObjectIndex, shows_what_stands_under_a_text_now) {
    kube::FakeClient client;
    const auto brain = kube::Brain::create(client);
    const kube::Cache& blocks = brain->watch(kube::address_blocks);
    const auto index = ObjectIndex::of(*brain, blocks, node_of);
    std::string seen;  // by a handler that comes later
    brain->on_change(blocks, [&](const kube::ObjectPtr&, const kube::ObjectPtr&) { seen = names(*index, "n1"); });

    ASSERT_TRUE(client.create(kube::address_blocks, block("b", "n1")));
    ASSERT_TRUE(client.create(kube::address_blocks, block("a", "n1")));
    ASSERT_TRUE(client.create(kube::address_blocks, block("c", "n2")));
    ASSERT_TRUE(client.create(kube::address_blocks, block("d", "")));
    brain->run_until_idle();
    EXPECT_EQ(names(*index, "n1"), "a b");
    EXPECT_EQ(names(*index, "n2"), "c");
    EXPECT_EQ(names(*index, ""), "");
    EXPECT_EQ(seen, "a b");

    ASSERT_TRUE(client.patch(kube::address_blocks, {"", "a"}, kube::PatchType::merge,
                             json::Object{{"spec", json::Object{{"node", "n2"}}}}));
    ASSERT_TRUE(client.remove(kube::address_blocks, {"", "c"}));
    brain->run_until_idle();
    EXPECT_EQ(names(*index, "n1"), "b");
    EXPECT_EQ(names(*index, "n2"), "a");
    EXPECT_EQ(seen, "b");
}

}  // namespace
}  // namespace weft::agent
