// Loading the data plane: every program passes the verifier; a second installation adopts everything and changes
// nothing.
#include <unistd.h>

#include <cstdio>

#include "bpf/test/world.h"

namespace weft::test {
namespace {

TEST(Installation, AllProgramsLoadAndAreFarFromTheVerifiersLimit) {
    World world;
    constexpr uint32_t verifier_limit = 1'000'000;
    for (size_t i = 0; i < kernel::program_names; ++i) {
        const kernel::Program& program = world.object().program(ProgramName(i));
        std::printf("  %-16s %6u instructions verified\n", program.name.c_str(), program.verified_instructions);
        EXPECT_GT(program.verified_instructions, 0u);
        EXPECT_LT(program.verified_instructions, verifier_limit / 5);
    }
}

TEST(Installation, ASecondOneKeepsProgramsAndMapContents) {
    World world;
    const Pod a = world.pod(red, "10.0.1.5");
    const BpfObject again = MUST(BpfObject::install(World::bpf_dir()));
    for (size_t i = 0; i < kernel::program_names; ++i) {
        EXPECT_EQ(again.program(ProgramName(i)).id, world.object().program(ProgramName(i)).id);
    }
    EXPECT_TRUE(MUST(again.maps().endpoint->lookup(a.id)).has_value());
    EXPECT_EQ(again.maps().writes(), 0u);
}

TEST(Installation, RefusesToStartOnMapsOfANewerAbi) {
    World world;
    const std::string dir = World::bpf_dir() + "-newer";
    const std::string newer = dir + "/endpoints_v" + std::to_string(ABI_VERSION + 1);
    ASSERT_TRUE(BpfObject::install(dir));
    ASSERT_EQ(rename((dir + "/endpoints_v" + std::to_string(ABI_VERSION)).c_str(), newer.c_str()), 0);
    const auto installed = BpfObject::install(dir);
    ASSERT_FALSE(installed);
    EXPECT_EQ(installed.error().code, Code::conflict);
    EXPECT_NE(installed.error().message.find("endpoints_v"), std::string::npos) << installed.error().message;
}

TEST(Installation, LeavesNothingPinnedWhenItFails) {
    World world;
    const std::string dir = World::bpf_dir() + "-clash";
    ASSERT_TRUE(BpfObject::install(dir));
    // A map of another shape under one of our names.
    const std::string slots = dir + "/slots_v" + std::to_string(ABI_VERSION);
    const std::string frontends = dir + "/frontends_v" + std::to_string(ABI_VERSION);
    const std::string backends = dir + "/backends_v" + std::to_string(ABI_VERSION);
    ASSERT_EQ(unlink(slots.c_str()), 0);
    ASSERT_EQ(unlink(backends.c_str()), 0);
    ASSERT_EQ(rename(frontends.c_str(), slots.c_str()), 0);
    EXPECT_FALSE(BpfObject::install(dir));
    EXPECT_NE(access(frontends.c_str(), F_OK), 0);
    EXPECT_NE(access(backends.c_str(), F_OK), 0);
    EXPECT_EQ(access(slots.c_str(), F_OK), 0);
}

TEST(DropReasons, HaveNamesAndTexts) {
    EXPECT_EQ(abi::drop_reason_name(abi::DROP_NO_BACKEND), "no_backend");
    EXPECT_EQ(abi::hook_name(abi::HOOK_POD_EGRESS), "pod_egress");
    EXPECT_FALSE(abi::drop_reason_text(abi::DROP_KERNEL).empty());
    EXPECT_TRUE(abi::drop_reason_name(abi::DROP_REASONS).empty());
}

}  // namespace
}  // namespace weft::test
