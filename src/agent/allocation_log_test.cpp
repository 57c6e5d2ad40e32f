#include "agent/allocation_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "base/strings.h"

namespace weft::agent {
namespace {

Allocation allocation(const std::string& container, const char* address, uint32_t id) {
    Allocation a;
    a.key = {container, "eth0"};
    a.pod_namespace = "default";
    a.pod_name = "pod-" + container;
    a.pod_uid = "uid-" + container;
    a.netns = "/run/netns/" + container;
    a.vpc = "vpc-demo";
    a.vswitch = "vsw-a";
    a.block = "vsw-a-10-0-1-0";
    a.vni = 7;
    a.address = MUST(net::Address::parse(address));
    a.endpoint_id = id;
    a.host_link = "wpod" + container;
    a.mtu = 1450;
    return a;
}

class LogFile {
public:
    LogFile() : path_("/tmp/weft-agent-log-" + std::to_string(getpid()) + "-" + std::to_string(++count_)) {}

    ~LogFile() { ::unlink(path_.c_str()); }

    AllocationLog open(std::string_view boot = "boot-1") const { return MUST(AllocationLog::open(path_, boot)); }

    std::string text() const { return MUST(read_file(path_)); }

    const std::string& path() const { return path_; }

private:
    static inline int count_ = 0;
    std::string path_;
};

TEST(AllocationLog, survives_its_writer_step_by_step) {
    const LogFile file;
    const Allocation a = allocation("a", "10.0.1.1", 1);
    {
        AllocationLog log = file.open();
        ASSERT_TRUE(log.reserve(a).has_value());
        EXPECT_EQ(log.reserve(a).error().code, Code::already_exists);
    }
    EXPECT_FALSE(file.open().find(a.key)->confirmed);
    EXPECT_TRUE(file.open().confirm(a.key).has_value());
    Allocation confirmed = a;
    confirmed.confirmed = true;
    EXPECT_EQ(*file.open().find(a.key), confirmed);
    EXPECT_TRUE(file.open().release(a.key, 100).has_value());
    EXPECT_TRUE(file.open().release(a.key, 100).has_value()) << "twice is success";
    const AllocationLog log = file.open();
    EXPECT_EQ(log.find(a.key), nullptr);
    EXPECT_EQ(log.cooling().at({"vpc-demo", a.address}), 100 + cool_down_s);
}

TEST(AllocationLog, of_another_boot_is_void) {
    const LogFile file;
    MUST(file.open("boot-1").reserve(allocation("a", "10.0.1.1", 1)));
    EXPECT_TRUE(file.open("boot-2").allocations().empty());
    EXPECT_TRUE(file.open("boot-1").allocations().empty()) << "it began anew";
}

TEST(AllocationLog, cut_at_every_byte_never_forgets_a_whole_line_nor_invents_one) {
    const LogFile file;
    {
        AllocationLog log = file.open();
        MUST(log.reserve(allocation("a", "10.0.1.1", 1)));
        MUST(log.confirm({"a", "eth0"}));
        MUST(log.reserve(allocation("b", "10.0.1.2", 2)));
        MUST(log.release({"a", "eth0"}, 5));
    }
    const std::string whole = file.text();
    // Inside the first line a few cuts do: each makes the log begin anew, with a sync.
    const size_t first = whole.find('\n');
    for (size_t bytes = 0; bytes <= whole.size(); bytes += bytes + 8 < first ? 8 : 1) {
        ::unlink(file.path().c_str());  // not truncated: ext4 would flush the file each time
        std::ofstream(file.path(), std::ios::binary) << whole.substr(0, bytes);
        size_t lines = 0;
        for (size_t i = 0; i < bytes; ++i) lines += whole[i] == '\n';
        AllocationLog log = file.open();
        EXPECT_EQ(log.find({"a", "eth0"}) != nullptr, lines >= 2 && lines < 5) << bytes;
        EXPECT_EQ(log.find({"b", "eth0"}) != nullptr, lines >= 4) << bytes;
        EXPECT_EQ(log.cooling().size(), lines >= 5 ? 1u : 0u) << bytes;
        // What comes after the cut is whole again.
        MUST(log.reserve(allocation("c", "10.0.1.3", 3)));
        EXPECT_NE(file.open().find({"c", "eth0"}), nullptr) << bytes;
    }
}

TEST(AllocationLog, refuses_what_it_did_not_write_and_says_where) {
    const LogFile file;
    MUST(write_file(file.path(), "something else\n"));
    EXPECT_EQ(AllocationLog::open(file.path(), "boot-1").error().code, Code::invalid);
    MUST(write_file(file.path(), "weft-allocations 1 boot-1\nreserve {}\n"));
    EXPECT_NE(AllocationLog::open(file.path(), "boot-1").error().message.find("line 2"), std::string::npos);
}

TEST(AllocationLog, compaction_keeps_what_lives_and_what_rests) {
    const LogFile file;
    AllocationLog log = file.open();
    MUST(log.reserve(allocation("keep", "10.0.1.1", 1)));
    MUST(log.confirm({"keep", "eth0"}));
    for (uint64_t i = 0; i < 400; ++i) {
        MUST(log.reserve(allocation("x", "10.0.1.2", 2)));
        MUST(log.confirm({"x", "eth0"}));
        MUST(log.release({"x", "eth0"}, 1000 + i));
        MUST(log.compact_if_worth_it(1000 + i));
    }
    EXPECT_LT(split(file.text(), '\n').size(), log_lines_before_compaction + 10);
    const AllocationLog again = file.open();
    EXPECT_TRUE(again.find({"keep", "eth0"})->confirmed);
    EXPECT_EQ(again.allocations().size(), 1u);
    EXPECT_EQ(again.cooling().size(), 1u);
}

TEST(AllocationLog, a_compaction_that_fails_loses_nothing_that_is_written_after_it) {
    const LogFile file;
    const std::string in_the_way = file.path() + ".next";
    ASSERT_EQ(::mkdir(in_the_way.c_str(), 0700), 0);
    AllocationLog log = file.open();
    Status compacted;
    for (uint64_t i = 0; compacted && i < log_lines_before_compaction; ++i) {
        MUST(log.reserve(allocation("x", "10.0.1.2", 2)));
        MUST(log.release({"x", "eth0"}, 1000 + i));
        compacted = log.compact_if_worth_it(1000 + i);
    }
    EXPECT_FALSE(compacted);
    MUST(log.reserve(allocation("keep", "10.0.1.1", 1)));
    EXPECT_NE(file.open().find({"keep", "eth0"}), nullptr);
    ASSERT_EQ(::rmdir(in_the_way.c_str()), 0);
    MUST(log.compact_if_worth_it(3000));
    MUST(log.confirm({"keep", "eth0"}));
    EXPECT_TRUE(file.open().find({"keep", "eth0"})->confirmed);
    EXPECT_LT(split(file.text(), '\n').size(), 10u);
}

}  // namespace
}  // namespace weft::agent
