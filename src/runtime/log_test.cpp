#include <gtest/gtest.h>

#include "base/fd.h"
#include "runtime/log_reader.h"
#include "runtime/log_writer.h"

namespace weft::runtime {
namespace {

class ContainerLog : public testing::Test {
protected:
    ContainerLog() {
        char folder[] = "/tmp/weft-log-XXXXXX";
        folder_ = mkdtemp(folder);
        path_ = folder_ + "/0.log";
    }

    ~ContainerLog() override { (void)remove_tree(folder_); }

    std::string read(std::string_view query) {
        const Result<LogOptions> options = parse_log_options(*http::Query::parse(query), clock_);
        if (!options) return "error " + options.error().message;
        std::string text;
        const Status status = read_log(
            path_, *options, [&](std::string_view bytes) { return text += bytes, true; }, [] { return false; });
        return status ? text : "error " + status.error().message;
    }

    FakeClock clock_;
    std::string folder_, path_;
};

using Stream = LogWriter::Stream;

TEST_F(ContainerLog, LinesComeBackInOrderFromBothStreams) {
    LogWriter log(path_, clock_);
    log.write(Stream::out, "one\ntw");
    log.write(Stream::err, "bad\n");
    log.write(Stream::out, "o\nlast");
    log.flush();
    EXPECT_EQ(read(""), "one\nbad\ntwo\nlast\n");
    EXPECT_EQ(read("tailLines=2"), "two\nlast\n");
    EXPECT_EQ(read("tailLines=0"), "");
    EXPECT_EQ(read("limitBytes=6"), "one\nba");
    EXPECT_EQ(*read_file(path_),
              "2025-11-24T16:00:00.000000000Z stdout F one\n2025-11-24T16:00:00.000000000Z stderr F bad\n"
              "2025-11-24T16:00:00.000000000Z stdout F two\n2025-11-24T16:00:00.000000000Z stdout F last\n");
}

TEST_F(ContainerLog, SinceLeavesOutWhatIsOlder) {
    LogWriter log(path_, clock_);
    log.write(Stream::out, "old\n");
    clock_.advance(std::chrono::seconds(100));
    log.write(Stream::out, "new\n");
    EXPECT_EQ(read("sinceSeconds=50"), "new\n");
    EXPECT_EQ(read("sinceTime=2025-11-24T16:00:01Z"), "new\n");
    EXPECT_TRUE(read("sinceSeconds=5&sinceTime=2025-11-24T16:00:01Z").starts_with("error sinceSeconds: Forbidden"));
    EXPECT_TRUE(read("sinceTime=yesterday").starts_with("error sinceTime: Invalid"));
    EXPECT_EQ(read("timestamps=true&tailLines=1"), "2025-11-24T16:01:40.000000000Z new\n");
}

TEST_F(ContainerLog, ALongLineIsJoinedAgain) {
    const std::string line(3 * LogWriter::line_bytes_max + 5, 'x');
    {
        LogWriter log(path_, clock_);
        log.write(Stream::out, line + "\n");
    }
    EXPECT_EQ(read(""), line + "\n");
}

TEST_F(ContainerLog, AFileThatGrewTooLargeIsSetAsideAndStillRead) {
    LogWriter log(path_, clock_);
    const std::string line(10000, 'y');
    for (size_t written = 0; written <= LogWriter::file_bytes_max; written += line.size())
        log.write(Stream::out, line + "\n");
    log.write(Stream::out, "after\n");
    EXPECT_TRUE(read_file(path_ + ".1"));
    EXPECT_EQ(read("tailLines=1"), "after\n");
    EXPECT_GT(read("").size(), LogWriter::file_bytes_max);
}

TEST_F(ContainerLog, NoFileIsNoLog) { EXPECT_EQ(read(""), "error there is no log"); }

}  // namespace
}  // namespace weft::runtime
