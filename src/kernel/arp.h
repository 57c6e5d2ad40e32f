// Arp: asking who has an address on a wire, and telling it that we do. One raw socket on one link, never blocking.
//
// answers() hands out what has come in since the last call: every reply heard there, whoever had asked. has_carrier():
// is the wire plugged in. Errors name the link. Threads: one at a time. Source: RFC 826, RFC 5227 §3 (announcement).
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "net/address.h"

namespace weft::kernel {

// What the announcer needs of a wire; a fake in tests.
class Wire {
public:
    using Answer = std::pair<net::Address, net::Mac>;

    virtual ~Wire() = default;
    virtual Status ask(const net::Address& address) = 0;
    virtual Status tell(const net::Address& address) = 0;  // gratuitous: whoever knows it learns our MAC
    virtual std::vector<Answer> answers() = 0;
    virtual bool has_carrier() = 0;
};

// Asks for IPv4 addresses only; tells of IPv6 ones by an unsolicited neighbour advertisement (RFC 4861 §7.2.6).
// `source` is the link's own address.
class ArpWire final : public Wire {
public:
    static Result<std::unique_ptr<Wire>> open(const std::string& link, uint32_t ifindex, const net::Mac& mac,
                                              const net::Address& source);
    Status ask(const net::Address& address) override;
    Status tell(const net::Address& address) override;
    std::vector<Answer> answers() override;
    bool has_carrier() override;

private:
    ArpWire(std::string link, net::Mac mac, net::Address source, Fd fd)
        : link_(std::move(link)), mac_(mac), source_(source), fd_(std::move(fd)) {}
    Status send(const net::Address& sender, const net::Address& target) const;
    Status advertise(const net::Address& address) const;

    std::string link_;
    net::Mac mac_;
    net::Address source_;
    Fd fd_;
};

}  // namespace weft::kernel
