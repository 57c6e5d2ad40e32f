// Style as a test: what a reviewer would otherwise have to look for by hand (style of the house: ARCHITECTURE.md).
#include <filesystem>
#include <set>

#include "abi/drop_reasons.h"
#include "base/fd.h"
#include "base/strings.h"

#include <gtest/gtest.h>

namespace weft {

namespace fs = std::filesystem;

static const fs::path root = WEFT_ROOT;
static constexpr size_t file_lines_max = 700;

// The rooms in the order of their arrows: a room may include only what stands in rooms before it, or itself.
static const std::vector<std::string> rooms = {"base",      "net",     "io",    "kernel",  "http",    "dns_wire",  "cloud",
                                               "kube",      "ingress", "store",   "protocol", "worker", "apiserver", "controller", "agent",
                                               "keeper",    "runtime", "alb",   "dns",     "cni",     "standalone", "cli", "cmd"};
// Peers upstairs know nothing of each other; only the roof (cli, cmd) sees them.
static const std::set<std::string> shops = {"apiserver", "controller", "agent", "keeper", "runtime", "alb", "dns", "cni", "standalone"};

static std::vector<fs::path> sources(std::initializer_list<std::string_view> extensions) {
    std::vector<fs::path> files;
    for (const char* top : {"src", "bpf", "test", "bench"}) {
        if (!fs::exists(root / top)) continue;
        for (const auto& entry : fs::recursive_directory_iterator(root / top))
            if (entry.is_regular_file() && std::find(extensions.begin(), extensions.end(), entry.path().extension().string()) != extensions.end())
                files.push_back(entry.path());
    }
    return files;
}

static std::string path_of(const fs::path& path) { return fs::relative(path, root).string(); }

static std::vector<std::string> lines_of(const fs::path& path) {
    std::vector<std::string> lines;
    const std::string text = MUST(read_file(path.string()));
    for (const std::string_view line : split(text, '\n')) lines.emplace_back(line);
    return lines;
}

TEST(Tidy, no_file_is_longer_than_a_room_should_be) {
    for (const fs::path& file : sources({".cpp", ".h", ".c"}))
        EXPECT_LE(lines_of(file).size(), file_lines_max) << path_of(file) << ": which noun is hiding inside?";
}

TEST(Tidy, every_header_opens_with_a_letter_to_the_reader) {
    for (const fs::path& file : sources({".h"})) {
        if (path_of(file).starts_with("cmake/")) continue;
        const auto lines = lines_of(file);
        const bool spdx = lines[0].starts_with("/* SPDX") || lines[0].starts_with("// SPDX");
        const std::string& first = spdx ? lines[1] : lines[0];
        EXPECT_TRUE(first.starts_with("//") || first.starts_with("/*")) << path_of(file);
    }
}

TEST(Tidy, arrows_between_rooms_point_one_way) {
    for (const fs::path& file : sources({".cpp", ".h"})) {
        const std::string path = path_of(file);
        if (!path.starts_with("src/")) continue;
        const std::string room = path.substr(4, path.find('/', 4) - 4);
        const auto at = std::find(rooms.begin(), rooms.end(), room);
        ASSERT_NE(at, rooms.end()) << path << ": a room without a place in the list of arrows";
        const bool test = path.ends_with("_test.cpp");
        for (const std::string& line : lines_of(file)) {
            if (!line.starts_with("#include \"")) continue;
            const std::string target = line.substr(10, line.find('/') - 10);
            const auto to = std::find(rooms.begin(), rooms.end(), target);
            if (to == rooms.end() || target == room) continue;
            EXPECT_LT(to - rooms.begin(), at - rooms.begin()) << path << " reaches up: " << line;
            const bool neighbour = shops.contains(room) && shops.contains(target);
            EXPECT_FALSE(neighbour && !test) << path << " reaches into a neighbour: " << line;
        }
    }
}

TEST(Tidy, nothing_is_left_for_later_and_no_workplace_is_named) {
    // Spelled in pieces, so that this file passes its own check.
    const std::vector<std::string> unwanted = {std::string("FIX") + "ME", std::string("TO") + "DO", std::string("XX") + "X ",
                                               std::string("/wo") + "rk/"};
    for (const fs::path& file : sources({".cpp", ".h", ".c", ".sh", ".cmake"})) {
        const std::string text = MUST(read_file(file.string()));
        for (const std::string& word : unwanted) EXPECT_EQ(text.find(word), std::string::npos) << path_of(file) << ": " << word;
    }
}

// Back-quoted words with a slash that begin with one of our top folders are promises that the path exists.
static void check_paths_named_in(const fs::path& document) {
    const std::string text = MUST(read_file(document.string()));
    size_t at = 0;
    while ((at = text.find('`', at)) != std::string::npos) {
        const size_t end = text.find('`', at + 1);
        if (end == std::string::npos) break;
        const std::string word = text.substr(at + 1, end - at - 1);
        at = end + 1;
        if (word.find_first_of(" *<>{}$()\n") != std::string::npos) continue;
        const std::string top = word.substr(0, word.find('/'));
        static const std::set<std::string> tops = {"src", "bpf", "test", "bench", "docs", "deploy", "examples", "cmake"};
        if (word.find('/') == std::string::npos || !tops.contains(top)) continue;
        EXPECT_TRUE(fs::exists(root / word)) << path_of(document) << " names " << word;
    }
}

TEST(Tidy, documents_name_paths_that_exist) {
    for (const char* name : {"README.md", "ARCHITECTURE.md", "CHANGELOG.md"})
        if (fs::exists(root / name)) check_paths_named_in(root / name);
    for (const auto& entry : fs::recursive_directory_iterator(root / "docs"))
        if (entry.path().extension() == ".md") check_paths_named_in(entry.path());
}

// docs/operate/drops.md is made from the list that the data plane is made from; WEFT_WRITE_DOCS=1 writes it anew.
TEST(Tidy, the_document_of_drop_reasons_is_the_list_itself) {
    std::string text =
        "# Why a packet was dropped\n\n"
        "`weft drops` and the metric `weft_drops_total{hook,reason}` count every packet that does not go on, by these names.\n"
        "\"answered\": the sender is told at once (TCP RST, ICMP unreachable). Made from `bpf/abi/drop_reasons.h`.\n\n"
        "| reason | what it means | what to look at |\n|---|---|---|\n";
#define X(name, meaning, next) text += "| `" + to_lower(#name) + "` | " meaning " | " next " |\n";
    WEFT_DROP_REASONS(X)
#undef X
    text += "\n| hook | where |\n|---|---|\n| `pod_egress` | leaving a pod, or the node itself |\n"
            "| `tunnel_ingress` | arriving from another node |\n| `uplink_ingress` | arriving on the wire |\n";
    const std::string path = (root / "docs/operate/drops.md").string();
    if (std::getenv("WEFT_WRITE_DOCS") != nullptr) MUST(write_file(path, text, 0644));
    const auto document = read_file(path);
    ASSERT_TRUE(document);
    EXPECT_EQ(*document, text) << "run: WEFT_WRITE_DOCS=1 " << "tidy_test";
}

// An Event is told by recorder.warning(object, "Reason", ...) or normal(...): a person who reads one finds it here.
TEST(Tidy, the_document_of_reasons_names_every_event_of_the_sources) {
    const std::string document = MUST(read_file((root / "docs/operate/reasons.md").string()));
    size_t events = 0;
    for (const fs::path& file : sources({".cpp"})) {
        const std::string path = path_of(file);
        if (!path.starts_with("src/") || path.ends_with("_test.cpp") || path.ends_with("/event_recorder.cpp")) continue;
        const std::string text = MUST(read_file(file.string()));
        for (const std::string_view call : {"warning(", "normal("}) {
            for (size_t at = text.find(call); at != std::string::npos; at = text.find(call, at + 1)) {
                if (at < 5 || text.compare(at - 5, 5, "log::") == 0) continue;
                const size_t end = text.find(';', at), quote = text.find('"', at);
                if (quote >= end) continue;
                const size_t close = text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", quote + 1);
                if (text[close] != '"' || close - quote < 5 || text[quote + 1] < 'A' || text[quote + 1] > 'Z') continue;
                const std::string reason = text.substr(quote + 1, close - quote - 1);
                EXPECT_NE(document.find("`" + reason + "`"), std::string::npos) << path << " tells " << reason;
                events++;
            }
        }
    }
    EXPECT_GE(events, 40u);
}

// A metric is registered by metrics::counter("weft_...") or gauge, or written out by a collector ("# TYPE weft_...").
static void collect_metrics(const std::string& text, std::set<std::string>& names) {
    for (const std::string_view before : {"counter(", "gauge(", "# TYPE "}) {
        for (size_t at = text.find(before); at != std::string::npos; at = text.find(before, at + 1)) {
            const size_t from = text.find_first_not_of(" \n\"", at + before.size());
            if (from == std::string::npos || text.compare(from, 5, "weft_") != 0) continue;
            const size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_", from);
            names.insert(text.substr(from, end - from));
        }
    }
}

TEST(Tidy, the_document_of_metrics_names_those_that_the_sources_have) {
    std::set<std::string> in_sources, in_document;
    for (const fs::path& file : sources({".cpp", ".h"}))
        if (path_of(file).starts_with("src/") && !path_of(file).ends_with("_test.cpp"))
            collect_metrics(MUST(read_file(file.string())), in_sources);
    for (const std::string& line : lines_of(root / "docs/operate/metrics.md"))
        if (line.starts_with("| `weft_")) in_document.insert(line.substr(3, line.find('`', 3) - 3));
    for (const std::string& name : in_sources)
        EXPECT_TRUE(in_document.contains(name)) << "docs/operate/metrics.md does not name " << name;
    for (const std::string& name : in_document)
        EXPECT_TRUE(in_sources.contains(name)) << "docs/operate/metrics.md names " << name << ", which no source has";
    EXPECT_GE(in_sources.size(), 20u);
}

TEST(Tidy, every_fuzz_target_has_seeds) {
    for (const fs::path& file : sources({".cpp"})) {
        if (!file.stem().string().ends_with("_fuzz")) continue;
        const std::string name = file.parent_path().filename().string() + "_" + file.stem().string();
        EXPECT_TRUE(fs::exists(root / "test/corpus" / name)) << "no seeds in test/corpus/" << name;
    }
}

}  // namespace weft
