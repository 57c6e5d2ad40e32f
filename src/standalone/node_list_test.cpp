#include "standalone/node_list.h"

#include <gtest/gtest.h>

namespace weft::standalone {
namespace {

std::string text_of(const std::vector<std::string>& texts, const std::vector<NodeSpec>& running = {}) {
    const auto nodes = parse_nodes(texts, running);
    return nodes ? nodes_text(*nodes) : nodes.error().message;
}

TEST(NodeList, gives_new_nodes_the_lowest_free_number) {
    EXPECT_EQ(text_of({"n1=a", "n2=b+c", "n3"}), "n1=a@1,n2=b+c@2,n3=cn-local-a@3");
    EXPECT_EQ(text_of({"n1=a@7", "n2=a"}), "n1=a@7,n2=a@1");
    EXPECT_EQ(text_of({"n1=a@1", "n2=b+c@2"}), "n1=a@1,n2=b+c@2") << "what is written is read again";
}

TEST(NodeList, a_node_keeps_its_number_when_others_come_and_go) {
    const auto running = *parse_nodes({"n1=a@1", "n3=a@3"});
    EXPECT_EQ(text_of({"n1=a", "n2=b", "n3=a", "n4=b"}, running), "n1=a@1,n2=b@2,n3=a@3,n4=b@4");
    EXPECT_EQ(text_of({"n4=b"}, running), "n4=b@2") << "the numbers of those that run are taken";
}

TEST(NodeList, names_what_is_wrong) {
    EXPECT_EQ(text_of({"n1=a", "n1=b"}), "--node: \"n1\" is given twice");
    EXPECT_EQ(text_of({"n1=a@2", "n2=b@2"}), "--node: number 2 is given twice");
    EXPECT_NE(text_of({"n1=a@201"}).find("n1=a@201: the number must be 1 to 200"), std::string::npos);
    EXPECT_NE(text_of({"n1=a@x"}).find("n1=a@x"), std::string::npos);
    EXPECT_NE(text_of({"internet=a"}).find("--node: "), std::string::npos);
}

}  // namespace
}  // namespace weft::standalone
