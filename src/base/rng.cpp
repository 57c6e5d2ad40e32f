#include "base/rng.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <cerrno>

#include "base/result.h"

namespace weft {

Rng::Rng(uint64_t seed) {
    // splitmix64 spreads any seed, zero too, over the whole state.
    for (uint64_t& word : state_) {
        seed += 0x9e3779b97f4a7c15;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        word = z ^ (z >> 31);
    }
}

static uint64_t rotate_left(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t Rng::next() {
    const uint64_t result = rotate_left(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate_left(state_[3], 45);
    return result;
}

uint64_t Rng::below(uint64_t bound) {
    ENSURE(bound > 0);
    const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    for (;;) {
        const uint64_t x = next();
        if (x < limit) return x % bound;
    }
}

void secure_random(std::span<uint8_t> out) {
    size_t done = 0;
    while (done < out.size()) {
        const ssize_t n = getrandom(out.data() + done, out.size() - done, 0);
        if (n < 0 && errno == EINTR) continue;
        ENSURE(n > 0);
        done += size_t(n);
    }
}

std::string random_hex(size_t bytes) {
    std::string text;
    for (size_t i = 0; i < bytes; i++) {
        uint8_t byte = 0;
        secure_random({&byte, 1});
        text += fmt::format("{:02x}", byte);
    }
    return text;
}

std::string random_uuid() {
    uint8_t b[16];
    secure_random(b);
    b[6] = uint8_t((b[6] & 0x0f) | 0x40);
    b[8] = uint8_t((b[8] & 0x3f) | 0x80);
    return fmt::format("{:02x}{:02x}{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}",
                       b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

std::string random_name_suffix(size_t n) {
    static constexpr char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
    std::string text;
    while (text.size() < n) {
        uint8_t byte = 0;
        secure_random({&byte, 1});
        if (byte < 27 * 9) text += alphabet[byte % 27];
    }
    return text;
}

}  // namespace weft
