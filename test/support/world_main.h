// The main() of a scenario: one World for all its tests, logs shown after a failure, and `down` is a check of its own.
#pragma once
#include <cstdio>

#include "support/world.h"

#include <gtest/gtest.h>

namespace weft::test {

inline World* world = nullptr;

// `arguments` are more of `weft up`; without `prove` it starts with no example applied.
inline int run_scenario(int argc, char** argv, const std::string& arguments = "", bool prove = true,
                        const std::string& verb = "up") {
    testing::InitGoogleTest(&argc, argv);
    World here;
    world = &here;
    if (const std::string why = here.up(arguments, prove, verb); !why.empty()) {
        std::fprintf(stderr, "up failed: %s\n", why.c_str());
        return 1;
    }
    int result = RUN_ALL_TESTS();
    if (result != 0) std::fprintf(stderr, "%s\n", here.log_tails().c_str());
    if (const std::string why = here.down(); !why.empty()) {
        std::fprintf(stderr, "down failed: %s\n", why.c_str());
        result = 1;
    }
    return result;
}

}  // namespace weft::test
