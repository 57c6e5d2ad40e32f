#include "protocol/conflist.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"

namespace weft::protocol::cni {
namespace {

class Conflist : public ::testing::Test {
protected:
    Conflist() : folder_("/tmp/weft-conflist-" + std::to_string(getpid())) {}

    ~Conflist() override { (void)remove_tree(folder_); }

    ino_t inode() const {
        struct stat status{};
        EXPECT_EQ(::stat((folder_ + "/05-weft.conflist").c_str(), &status), 0);
        return status.st_ino;
    }

    const std::string folder_;
};

// CNI-50
TEST_F(Conflist, CNI_50_is_installed_whole_and_only_when_it_differs) {
    ASSERT_TRUE(install_conflist(folder_, "/run/a.sock").has_value());
    const json::Value list = MUST(json::parse(MUST(read_file(folder_ + "/05-weft.conflist"))));
    EXPECT_EQ(json::find_string(list, {"cniVersion"}), "1.0.0") << "containerd 1.6 knows no newer";
    EXPECT_EQ(json::find_strings(list, {"cniVersions"}).back(), "1.1.0");
    EXPECT_EQ(json::find_string(list, {"name"}), "weft");
    const json::Value& plugin = json::find_array(list, {"plugins"})->at(0);
    EXPECT_EQ(json::find_string(plugin, {"type"}), "weft-cni");
    EXPECT_EQ(json::find_string(plugin, {"agentSocket"}), "/run/a.sock");
    const ino_t before = inode();
    ASSERT_TRUE(install_conflist(folder_, "/run/a.sock").has_value());
    EXPECT_EQ(inode(), before);
    ASSERT_TRUE(install_conflist(folder_, "/run/b.sock").has_value());
    EXPECT_NE(inode(), before);
    EXPECT_FALSE(read_file(folder_ + "/.05-weft.conflist").has_value());
    ASSERT_TRUE(remove_conflist(folder_).has_value());
    ASSERT_TRUE(remove_conflist(folder_).has_value());
}

// CNI-50
TEST_F(Conflist, CNI_50_another_file_that_wins_is_named) {
    ASSERT_TRUE(install_conflist(folder_, "/run/a.sock").has_value());
    EXPECT_EQ(conflist_in_front(folder_), "");
    for (const char* name : {"10-later.conf", "00-readme.txt", ".00-hidden.conf"})
        MUST(write_file(folder_ + "/" + name, "{}"));
    EXPECT_EQ(conflist_in_front(folder_), "");
    MUST(write_file(folder_ + "/04-other.json", "{}"));
    EXPECT_EQ(conflist_in_front(folder_), "04-other.json");
}

}  // namespace
}  // namespace weft::protocol::cni
