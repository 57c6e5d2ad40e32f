// DnsOptions: what an administrator chooses of `weft dns`, handed down from `weft up` by way of supervisor and keeper.
//
// check() refuses what no DNS server could be started with, naming the flag; the list of upstreams is read by the server
// itself. Threads: values. Source: spec/kubernetes.md DNS-14, DNS-26, DNS-29.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weft::protocol {

struct DnsOptions {
    static constexpr unsigned ttl_max_s = 3600;

    std::string upstream;                   // "A:53,B"; "" = names outside of the zone are refused
    std::string policy = "round-robin";     // which of them is asked first: sequential, round-robin, random
    unsigned ttl_s = 5;                     // of data and of negative answers in the zone
    uint32_t answers_per_second = 10'000;   // of one client over UDP, each hand of each node; 0 = no limit

    Status check() const;
    // As a process takes them; only what differs from the default.
    std::vector<std::string> arguments() const;
    // A file's text, and back. What is not legible there is left out.
    std::string text() const;
    static DnsOptions parse(std::string_view text);
    bool operator==(const DnsOptions&) const = default;
};

}  // namespace weft::protocol
