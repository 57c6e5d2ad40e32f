// Which rules of Kubernetes hold, and by which test: docs/conformance/kubernetes.rules (by hand) and the ids that tests name
// become docs/conformance/kubernetes.md. A tested rule without a test, a test that does not exist and an id that is no rule
// fail here. A test names a rule in its own name (DP18_..., ..._API_80_81) or in a line of its text or right above it
// (`SVC-12`).
#include <filesystem>
#include <map>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "base/fd.h"
#include "base/strings.h"

namespace weft {

namespace fs = std::filesystem;

namespace {

const fs::path root = WEFT_ROOT;

struct Rule {
    std::string id, title, state, reason;
    std::set<std::string> tests;  // those that its line names
};

struct Section {
    std::string title;
    std::vector<Rule> rules;
};

struct Tests {
    std::map<std::string, std::string> file_of;             // "Suite.name" → path; the same name in two files: the first
    std::map<std::string, std::set<std::string>> of_rule;  // "SVC-12" → "Suite.name"
};

const std::regex id_in_text("\\b(API|SVC|EPS|DP|ING|DNS|CNI)-([0-9]{1,3})\\b");
const std::regex id_in_name("(API|SVC|EPS|DP|ING|DNS|CNI)_?([0-9]+(?:_[0-9]+)*)");
const std::regex head_of_test("^TEST(?:_F|_P)?\\((\\w+), *(\\w+)\\)");

std::set<std::string> ids_in_text(const std::string& line) {
    std::set<std::string> ids;
    for (std::sregex_iterator it(line.begin(), line.end(), id_in_text), end; it != end; ++it)
        ids.insert((*it)[1].str() + "-" + (*it)[2].str());
    return ids;
}

std::set<std::string> ids_in_name(const std::string& name) {
    std::set<std::string> ids;
    for (std::sregex_iterator it(name.begin(), name.end(), id_in_name), end; it != end; ++it) {
        const std::string numbers = (*it)[2].str();
        for (const std::string_view number : split(numbers, '_')) ids.insert((*it)[1].str() + "-" + std::string(number));
    }
    return ids;
}

// The comment right above a test belongs to it.
void read_tests_of(const fs::path& file, Tests& tests) {
    std::string current;
    std::set<std::string> above;
    const std::string text = MUST(read_file(file.string()));
    for (const std::string_view view : split(text, '\n')) {
        const std::string line(view);
        std::smatch head;
        if (std::regex_search(line, head, head_of_test)) {
            current = head[1].str() + "." + head[2].str();
            tests.file_of.emplace(current, fs::relative(file, root).string());
            for (const std::string& id : ids_in_name(head[2])) tests.of_rule[id].insert(current);
            for (const std::string& id : above) tests.of_rule[id].insert(current);
        }
        const auto ids = ids_in_text(line);
        if (line.starts_with("//")) {
            above.insert(ids.begin(), ids.end());
            continue;
        }
        above.clear();
        if (!current.empty())
            for (const std::string& id : ids) tests.of_rule[id].insert(current);
    }
}

Tests read_tests() {
    Tests tests;
    std::vector<fs::path> files;
    for (const char* top : {"src", "bpf", "test"})
        for (const auto& entry : fs::recursive_directory_iterator(root / top))
            if (entry.path().string().ends_with("_test.cpp") && entry.path().filename() != "conformance_test.cpp")
                files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) read_tests_of(file, tests);
    return tests;
}

bool looks_like_a_test(const std::string& word) {
    static const std::regex shape("^[A-Z][A-Za-z]*\\.[A-Za-z][A-Za-z0-9_]*$");
    return std::regex_match(word, shape);
}

Rule read_rule(std::string_view line) {
    const auto columns = split(line, '|');
    Rule rule;
    EXPECT_EQ(columns.size(), 4u) << line;
    if (columns.size() != 4) return rule;
    rule.id = trim(columns[0]);
    rule.title = trim(columns[1]);
    rule.state = trim(columns[2]);
    for (const std::string_view part : split(trim(columns[3]), ' ')) {
        const std::string word(part);
        if (looks_like_a_test(word)) {
            rule.tests.insert(word);
        } else if (!word.empty()) {
            rule.reason += (rule.reason.empty() ? "" : " ") + word;
        }
    }
    return rule;
}

std::vector<Section> read_rules() {
    std::vector<Section> sections;
    const std::string text = MUST(read_file((root / "docs/conformance/kubernetes.rules").string()));
    for (const std::string_view line : split(text, '\n')) {
        if (line.empty() || line.starts_with("#")) continue;
        if (line.starts_with("== ")) {
            sections.push_back({std::string(line.substr(3)), {}});
        } else {
            sections.back().rules.push_back(read_rule(line));
        }
    }
    return sections;
}

// A rule that nobody has judged yet, but that tests name, holds at least in part.
std::string state_of(const Rule& rule, const Tests& tests) {
    return rule.state == "later" && tests.of_rule.contains(rule.id) ? "partly" : rule.state;
}

std::set<std::string> tests_of(const Rule& rule, const Tests& tests) {
    std::set<std::string> names = rule.tests;
    if (const auto found = tests.of_rule.find(rule.id); found != tests.of_rule.end())
        names.insert(found->second.begin(), found->second.end());
    return names;
}

std::string page_of(const std::vector<Section>& sections, const Tests& tests) {
    std::map<std::string, int> count;
    std::string tables;
    for (const Section& section : sections) {
        tables += "\n## " + section.title + "\n\n| rule | what it says | state | shown by, or why not |\n|---|---|---|---|\n";
        for (const Rule& rule : section.rules) {
            const std::string state = state_of(rule, tests);
            count[state]++;
            std::string shown;
            for (const std::string& name : tests_of(rule, tests)) shown += (shown.empty() ? "" : ", ") + name;
            if (!rule.reason.empty()) shown += (shown.empty() ? "" : "; ") + rule.reason;
            tables += "| " + rule.id + " | " + rule.title + " | " + state + " | " + shown + " |\n";
        }
    }
    return "# What of Kubernetes holds\n\nMade from `docs/conformance/kubernetes.rules` and the ids that tests name, by "
           "`test/conformance_test.cpp`.\nA test is named Suite.name: its room's `_test` program runs it by "
           "`--gtest_filter`.\n\n" +
           std::to_string(count["tested"]) + " rules are tested, " + std::to_string(count["partly"]) + " in part, " +
           std::to_string(count["later"]) + " later, " + std::to_string(count["out"]) + " are out of bounds.\n" + tables;
}

}  // namespace

TEST(Conformance, every_rule_has_its_state_and_every_test_that_is_named_exists) {
    const Tests tests = read_tests();
    std::set<std::string> known;
    for (const Section& section : read_rules()) {
        for (const Rule& rule : section.rules) {
            EXPECT_TRUE(known.insert(rule.id).second) << rule.id << " stands twice";
            EXPECT_TRUE(std::regex_match(rule.id, id_in_text)) << rule.id;
            EXPECT_FALSE(rule.title.empty()) << rule.id;
            const auto named = tests_of(rule, tests);
            for (const std::string& test : rule.tests)
                EXPECT_TRUE(tests.file_of.contains(test)) << rule.id << " names " << test << ", which is nowhere";
            if (rule.state == "tested" || rule.state == "partly") {
                EXPECT_FALSE(named.empty()) << rule.id << " is called " << rule.state << ", but no test names it";
            } else {
                EXPECT_TRUE(rule.state == "later" || rule.state == "out") << rule.id << ": " << rule.state;
            }
            EXPECT_TRUE(rule.state == "tested" || !rule.reason.empty()) << rule.id << " needs its reason";
        }
    }
    for (const auto& [id, by] : tests.of_rule) EXPECT_TRUE(known.contains(id)) << *by.begin() << " names " << id << ", no rule";
}

// WEFT_WRITE_DOCS=1 writes it anew.
TEST(Conformance, the_page_is_the_list_itself) {
    const fs::path page = root / "docs/conformance/kubernetes.md";
    const std::string text = page_of(read_rules(), read_tests());
    if (std::getenv("WEFT_WRITE_DOCS") != nullptr) MUST(write_file(page.string(), text));
    const auto written = read_file(page.string());
    ASSERT_TRUE(written) << "WEFT_WRITE_DOCS=1 tidy_test writes it";
    EXPECT_EQ(*written, text) << "rules or tests changed: WEFT_WRITE_DOCS=1 tidy_test writes it anew";
}

}  // namespace weft
