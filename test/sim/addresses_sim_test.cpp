// Addresses, simulated (address_simulation.h): whoever dies whenever,
//
//   always     no address is wired twice; what is wired is lent to its node; leases do not overlap; an address rests 30 s
//              before another pod's name has it; a kept or chosen address is wired for its own name only
//   in the end nothing is lost: after everything is deleted every address is free again, and as many pods as the vSwitch
//              has addresses run, wherever they are
//
// The seed is printed; WEFT_SIM_SEED replays one exactly. WEFT_TEST_LONG=1 is the long form, a million operations;
// WEFT_SIM_OPERATIONS asks for any other number.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/log.h"
#include "sim/address_simulation.h"

namespace weft {
namespace {

constexpr uint64_t operations_short = 12000, operations_long = 1000000;
constexpr uint64_t operations_between_ends = 1000;

uint64_t number_in(const char* variable, uint64_t otherwise) {
    const char* const text = std::getenv(variable);
    return text == nullptr ? otherwise : parse_unsigned(text).value_or(otherwise);
}

TEST(AddressesSim, whoever_dies_whenever_no_address_is_given_twice_and_none_is_lost) {
    const uint64_t seed = number_in("WEFT_SIM_SEED", uint64_t(getpid()) * 2654435761u + uint64_t(std::time(nullptr)));
    const bool is_long = std::getenv("WEFT_TEST_LONG") != nullptr;
    const uint64_t operations = number_in("WEFT_SIM_OPERATIONS", is_long ? operations_long : operations_short);
    std::printf("seed %llu (WEFT_SIM_SEED), %llu operations (WEFT_TEST_LONG=1: %llu)\n", (unsigned long long)seed,
                (unsigned long long)operations, (unsigned long long)operations_long);
    std::fflush(stdout);
    log::set_level(log::Level::error);  // deaths are what this is about
    sim::Simulation simulation(seed);
    for (uint64_t i = 1; i <= operations; ++i) {
        simulation.operate();
        std::string wrong = simulation.wrong_now();
        if (wrong.empty() && i % operations_between_ends == 0) wrong = simulation.wrong_in_the_end();
        if (wrong.empty() && !HasFailure()) continue;
        simulation.describe();
        FAIL() << (wrong.empty() ? "see above" : wrong) << " (seed " << seed << ", operation " << i << ")";
    }
    std::printf("%llu ADDs, %llu DELs, %llu deaths\n", (unsigned long long)simulation.adds,
                (unsigned long long)simulation.dels, (unsigned long long)simulation.deaths);
    EXPECT_GT(simulation.adds, operations / 50);
    EXPECT_GT(simulation.deaths, operations / 200);
}

}  // namespace
}  // namespace weft
