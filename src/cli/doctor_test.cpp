// The doctor's judgement of machines that are not this one.
#include "cli/doctor.h"

#include <gtest/gtest.h>

namespace weft::cli {

using Level = Finding::Level;

static Facts good_machine() {
    Facts facts;
    facts.kernel = "6.1.0-18-amd64";
    facts.cgroup2_mount = "/sys/fs/cgroup";
    return facts;
}

static Finding about(const Facts& facts, std::string_view subject) {
    for (const Finding& finding : judge(facts))
        if (finding.subject == subject) return finding;
    ADD_FAILURE() << "no finding about " << subject;
    return {};
}

TEST(Doctor, finds_nothing_to_say_about_a_fresh_debian_12) {
    for (const Finding& finding : judge(good_machine())) EXPECT_EQ(finding.level, Level::ok) << line_of(finding);
    EXPECT_EQ(exit_code_of(judge(good_machine())), 0);
}

TEST(Doctor, speaks_of_every_subject_exactly_once) {
    std::set<std::string> subjects;
    for (const Finding& finding : judge(good_machine()))
        EXPECT_TRUE(subjects.insert(finding.subject).second) << finding.subject;
    EXPECT_EQ(subjects.size(), 15u);
}

TEST(Doctor, knows_which_kernels_are_too_old) {
    for (const char* old : {"5.10.0-28-amd64", "5.15.0", "6.0.12", "4.19"}) {
        Facts facts = good_machine();
        facts.kernel = old;
        EXPECT_EQ(about(facts, "kernel").level, Level::stop) << old;
    }
    for (const char* fine : {"6.1", "6.1.0-18-amd64", "6.2-rc1", "6.18.44-fc", "7.0.0", "10.0.1"}) {
        Facts facts = good_machine();
        facts.kernel = fine;
        EXPECT_EQ(about(facts, "kernel").level, Level::ok) << fine;
    }
    Facts facts = good_machine();
    facts.kernel = "unknown";
    EXPECT_EQ(about(facts, "kernel").level, Level::warn);
}

struct Stopper {
    const char* subject;
    void (*spoil)(Facts&);
    int exit_code;
};

TEST(Doctor, stops_at_what_makes_it_impossible_and_names_the_fix) {
    const Stopper stoppers[] = {
        {"rights", [](Facts& f) { f.root = false; }, 5},
        {"kernel", [](Facts& f) { f.kernel = "5.10.0"; }, 7},
        {"btf", [](Facts& f) { f.has_btf = false; }, 7},
        {"bpf", [](Facts& f) { f.has_bpf_filesystem = false; }, 7},
        {"bpf", [](Facts& f) { f.data_plane = Error{Code::not_found, "add clsact on interface 2: No such file"}; }, 7},
        {"bpf", [](Facts& f) { f.data_plane = Error{Code::denied, "load a BPF program: Operation not permitted"}; }, 5},
        {"root", [](Facts& f) { f.root_is_mounted = false; }, 7},
        {"cgroup2", [](Facts& f) { f.has_cgroup2 = false; }, 7},
        {"programs", [](Facts& f) { f.missing_cni_binary = "/usr/lib/weft/weft-cni"; }, 3},
        {"disk", [](Facts& f) { f.disk_free_bytes = 1 << 20; }, 8},
    };
    for (const Stopper& stopper : stoppers) {
        Facts facts = good_machine();
        stopper.spoil(facts);
        const Finding finding = about(facts, stopper.subject);
        EXPECT_EQ(finding.level, Level::stop) << line_of(finding);
        EXPECT_NE(finding.fix, "") << line_of(finding);
        EXPECT_EQ(exit_code_of(judge(facts)), stopper.exit_code) << line_of(finding);
    }
}

TEST(Doctor, warns_of_what_works_less_well_but_does_not_stop) {
    const Stopper warnings[] = {
        {"bpf", [](Facts& f) { f.jit = "0"; }, 0},
        {"disk", [](Facts& f) { f.disk_free_bytes = 500ull << 20; }, 0},
        {"disk", [](Facts& f) { f.disk_free_files = 12; }, 0},
        {"limits", [](Facts& f) { f.open_files_max = 1024; }, 0},
        {"limits", [](Facts& f) { f.inotify_instances_max = 16; }, 0},
        {"programs", [](Facts& f) { f.missing_programs = {"dig"}; }, 0},
        {"rules", [](Facts& f) { f.our_tables = {{"weft-a-node-1", {"ip filter"}}}; }, 0},
    };
    for (const Stopper& warning : warnings) {
        Facts facts = good_machine();
        warning.spoil(facts);
        const Finding finding = about(facts, warning.subject);
        EXPECT_EQ(finding.level, Level::warn) << line_of(finding);
        EXPECT_NE(finding.fix, "") << line_of(finding);
        EXPECT_EQ(exit_code_of(judge(facts)), 0) << line_of(finding);
    }
}

TEST(Doctor, explains_what_people_suspect_first_without_alarm) {
    const Stopper notes[] = {
        {"rp_filter", [](Facts& f) { f.rp_filter = "1"; }, 0},
        {"firewall", [](Facts& f) { f.running = {"firewalld"}; }, 0},
        {"firewall",
         [](Facts& f) {
             f.running = {"dockerd"};
             f.machine_tables = {"ip filter"};
         },
         0},
        {"firewall", [](Facts& f) { f.machine_tables = {"inet mine"}; }, 0},
        {"managers", [](Facts& f) { f.running = {"NetworkManager"}; }, 0},
        {"routes", [](Facts& f) { f.routes = {MUST(net::Prefix::parse("198.18.0.0/15"))}; }, 0},
        {"cgroup2", [](Facts& f) { f.cgroup1_controllers = {"memory", "cpu,cpuacct"}; }, 0},
        {"cgroup2", [](Facts& f) { f.cgroup2_mount = ""; }, 0},
    };
    for (const Stopper& note : notes) {
        Facts facts = good_machine();
        note.spoil(facts);
        EXPECT_EQ(about(facts, note.subject).level, Level::note) << line_of(about(facts, note.subject));
        EXPECT_EQ(exit_code_of(judge(facts)), 0);
    }
    Facts facts = good_machine();
    facts.ip_forward = "1";
    EXPECT_EQ(about(facts, "ip_forward").level, Level::ok);
    facts.routes = {MUST(net::Prefix::parse("198.51.100.0/24")), MUST(net::Prefix::parse("10.0.0.0/8"))};
    EXPECT_EQ(about(facts, "routes").level, Level::ok);
}

TEST(Doctor, a_line_has_the_level_the_subject_and_the_fix) {
    const Finding finding{Level::stop, "btf", "it is missing", "get it"};
    EXPECT_EQ(line_of(finding), "STOP  btf         it is missing; fix: get it");
}

TEST(Doctor, looks_at_this_machine_without_leaving_anything) {
    const Facts facts = look_at_machine(MUST(Instance::parse("nobody")), "/nowhere/weft");
    EXPECT_FALSE(facts.kernel.empty());
    EXPECT_TRUE(facts.root_is_mounted);
    EXPECT_EQ(facts.missing_cni_binary, "/nowhere/weft-cni");
    EXPECT_TRUE(facts.our_tables.empty());
    EXPECT_LT(facts.disk_free_bytes, UINT64_MAX);
}

}  // namespace weft::cli
