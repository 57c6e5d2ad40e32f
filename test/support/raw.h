// Raw: a packet socket on eth0 of a pod: what a privileged program there can send, and everything that comes to it.
// A frame says whose it is by a mark in its payload, MARK + one letter: Ear counts what it hears by that letter.
//
// Threads: a RawDoor is one thread's at a time; an Ear listens on one of its own until it goes, its counts are anybody's.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/fd.h"
#include "net/packet_builder.h"
#include "support/world.h"

namespace weft::test {

inline constexpr std::string_view raw_mark = "weft-isolation-";
inline constexpr std::string_view valid_word = "-valid";

class RawDoor {
public:
    static Result<RawDoor> open(const World& world, const std::string& ns, const std::string& pod);

    // False: the kernel took it not.
    bool send(const net::Bytes& frame) const;
    // A frame from this pod's own MAC to the gateway's.
    net::PacketBuilder frame() const;

    std::string ns, pod, node, netns;  // netns: its name
    net::Mac mac;
    net::Address v4, v6;  // v6 unspecified: it has none

private:
    Fd socket_;
};

class Ear {
public:
    // Of that network namespace's eth0. Frames marked with `stranger` are kept, the first few, to be shown; those that a third
    // sends itself, who was told by the stranger and answers where its own routes lead, are counted apart.
    explicit Ear(const std::string& netns, char stranger = 0, const net::Address& third = {});
    ~Ear();
    Ear(const Ear&) = delete;

    uint64_t heard(char letter) const { return heard_[index(letter)].load(std::memory_order_relaxed); }
    uint64_t valid(char letter) const { return valid_[index(letter)].load(std::memory_order_relaxed); }
    // Frames that came while the socket was full: what they were nobody knows.
    uint64_t missed() const;
    std::vector<std::string> strangers() const;
    uint64_t told_by_third() const { return told_by_third_; }

private:
    static size_t index(char letter) { return size_t(letter - 'A') % 26; }
    void listen();
    void judge(const char* frame, size_t bytes);

    Fd socket_;
    const char stranger_;
    const net::Address third_;
    std::atomic<uint64_t> told_by_third_{0};
    mutable std::mutex mutex_;
    std::vector<std::string> strangers_;
    std::array<std::atomic<uint64_t>, 26> heard_{}, valid_{};
    std::atomic<bool> ends_{false};
    mutable std::atomic<uint64_t> missed_{0};
    std::thread thread_;
};

}  // namespace weft::test
