// Rng: a small seedable generator (xoshiro256**), handed in so that a printed seed replays a test. secure_random is the
// kernel's, for tokens, UIDs and keys.
#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace weft {

class Rng {
public:
    explicit Rng(uint64_t seed);
    uint64_t next();
    uint64_t below(uint64_t bound);  // uniform in [0, bound); bound > 0

private:
    uint64_t state_[4];
};

void secure_random(std::span<uint8_t> out);
std::string random_uuid();                  // version 4
std::string random_hex(size_t bytes);       // for tokens
std::string random_name_suffix(size_t n);   // from bcdfghjklmnpqrstvwxz2456789 (API-32)

}  // namespace weft
