// WildFrames: everything a pod can think of to send, drawn from a seed: valid datagrams to its peers, and all that it must
// not get away with. Few ports and equal addresses on both sides, so that tuples meet those of the other VPC, living and
// stale, again and again. Threads: one.
#pragma once
#include <string>
#include <vector>

#include "base/rng.h"
#include "support/raw.h"

namespace weft::test {

class WildFrames {
public:
    // `letter` marks them; `peers` are pods of the sender's VPC, `others` any address besides (of both families).
    WildFrames(uint64_t seed, char letter, std::vector<net::Address> peers, std::vector<net::Address> others);

    struct Frame {
        net::Bytes bytes;
        bool is_valid = false;  // must arrive
    };
    Frame next(const RawDoor& from);

private:
    net::Address one_of(const std::vector<net::Address>& list, bool v6);
    net::Address anyone(bool v6);
    uint16_t port();
    std::string body(std::string_view more = "");
    net::Bytes wild(const RawDoor& from, bool v6);
    net::Bytes claim(const RawDoor& from, bool v6);
    net::Bytes fragment(const RawDoor& from, bool v6, const net::Address& to);
    net::Bytes error(const RawDoor& from, bool v6, const net::Address& to);

    Rng rng_;
    const char letter_;
    const std::vector<net::Address> peers_, others_;
};

// The frame with an 802.1Q (0x8100) or 802.1ad (0x88a8) tag.
net::Bytes with_tag(net::Bytes frame, uint16_t protocol, uint16_t id);

}  // namespace weft::test
