#include "dns/hand.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/metrics.h"
#include "dns/tcp_connection.h"

namespace weft::dns {

namespace {

metrics::Counter& limited(std::string_view action) {
    return metrics::counter("weft_dns_rate_limited_total", {{"action", std::string(action)}},
                            "queries over UDP of clients that had had their answers of this second");
}

net::Address address_of(const sockaddr_storage& peer) {
    net::Address address;
    if (peer.ss_family == AF_INET)
        return net::Address::v4(ntohl(reinterpret_cast<const sockaddr_in&>(peer).sin_addr.s_addr));
    std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr, 16);
    return address;
}

uint64_t random_seed() {
    uint64_t seed = 0;
    secure_random({reinterpret_cast<uint8_t*>(&seed), sizeof seed});
    return seed;
}

}  // namespace

class Hand::Listener : public io::Handler, public std::enable_shared_from_this<Hand::Listener> {
public:
    Listener(Hand& hand, Fd fd, uint32_t vni) : hand_(hand), fd_(std::move(fd)), vni_(vni) {}

    virtual ~Listener() { hand_.loop().unwatch(fd_.get()); }

    Status start() { return hand_.loop().watch(fd_.get(), *this); }

protected:
    Hand& hand_;
    Fd fd_;
    const uint32_t vni_;
};

class Hand::UdpListener : public Hand::Listener {
public:
    using Listener::Listener;

    void ready(uint32_t) override {
        for (unsigned i = 0; i < batches_per_turn; ++i) {
            if (!read_batch()) return;
        }
        // Others first; the edge will not come again for what is still queued.
        hand_.loop().post([weak = weak_from_this()] {
            if (const auto listener = weak.lock()) listener->ready(EPOLLIN);
        });
    }

private:
    static constexpr unsigned batch = 32;
    static constexpr unsigned batches_per_turn = 8;
    static constexpr size_t query_bytes_max = 2048;

    struct Peer {
        sockaddr_storage address;
        socklen_t size;
    };

    // True when there may be more.
    bool read_batch() {
        std::array<std::array<uint8_t, query_bytes_max>, batch> buffers;
        std::array<Peer, batch> peers;
        std::array<iovec, batch> parts;
        std::array<mmsghdr, batch> headers{};
        for (unsigned i = 0; i < batch; ++i) {
            parts[i] = {buffers[i].data(), query_bytes_max};
            headers[i].msg_hdr = {&peers[i].address, sizeof peers[i].address, &parts[i], 1, nullptr, 0, 0};
        }
        const int got = recvmmsg(fd_.get(), headers.data(), batch, MSG_DONTWAIT, nullptr);
        // A queued ICMP error is reported once, in place of data.
        if (got < 0) return errno == EINTR || errno == ECONNREFUSED;
        std::array<std::vector<uint8_t>, batch> replies;
        unsigned ready_replies = 0;
        std::array<mmsghdr, batch> out{};
        std::array<iovec, batch> out_parts;
        for (unsigned i = 0; i < unsigned(got); ++i) {
            if ((headers[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) continue;
            peers[i].size = headers[i].msg_hdr.msg_namelen;
            const std::span query(buffers[i].data(), headers[i].msg_len);
            const auto add_reply = [&](std::vector<uint8_t> reply) {
                std::vector<uint8_t>& bytes = replies[ready_replies] = std::move(reply);
                out_parts[ready_replies] = {bytes.data(), bytes.size()};
                out[ready_replies].msg_hdr = {
                    &peers[i].address, peers[i].size, &out_parts[ready_replies], 1, nullptr, 0, 0};
                ++ready_replies;
            };
            if (auto instead = hand_.over_limit(query, address_of(peers[i].address), vni_)) {
                if (!instead->empty()) add_reply(std::move(*instead));
                continue;
            }
            Response response = hand_.answer(query, Transport::udp, vni_);
            if (response.kind == Response::Kind::reply) {
                add_reply(finish(response, Transport::udp));
            } else if (response.kind == Response::Kind::forward) {
                forward(std::move(response), peers[i]);
            }
        }
        send_all(std::span(out).first(ready_replies));
        return got == int(batch);
    }

    // A full send buffer loses answers, as UDP may; a bad destination loses its own only.
    void send_all(std::span<mmsghdr> messages) {
        while (!messages.empty()) {
            const int sent = sendmmsg(fd_.get(), messages.data(), unsigned(messages.size()), MSG_DONTWAIT);
            if (sent < 0 && errno == EINTR) continue;
            if (sent < 0 && errno == EAGAIN) return;
            messages = messages.subspan(sent > 0 ? size_t(sent) : 1);
        }
    }

    void forward(Response response, const Peer& peer) {
        hand_.forward(std::move(response), Transport::udp,
                      [weak = weak_from_this(), peer](const std::vector<uint8_t>& bytes) {
                          const auto listener = std::static_pointer_cast<UdpListener>(weak.lock());
                          if (!listener) return;
                          sendto(listener->fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT,
                                 reinterpret_cast<const sockaddr*>(&peer.address), peer.size);
                      });
    }
};

class Hand::TcpListener : public Hand::Listener {
public:
    using Listener::Listener;

    void ready(uint32_t) override {
        for (;;) {
            Fd fd(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (fd) {
                TcpConnection::serve(hand_, std::move(fd), vni_);
            } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                // The edge will not come again for who waits already; a descriptor may be free in the next second.
                return retry();
            } else if (errno != EINTR && errno != ECONNABORTED) {
                return;
            }
        }
    }

private:
    void retry() { timer_.arm(hand_.loop(), std::chrono::seconds(1)); }

    io::Timer timer_{[](void* it) { static_cast<TcpListener*>(it)->ready(EPOLLIN); }, this};
};

Hand::Hand(const Settings& settings, const Published<Snapshot>& snapshot, worker::Channel& channel,
           std::unique_ptr<io::Loop> loop, ForwardConfig forwarding)
    : settings_(settings), snapshot_(snapshot), loop_(std::move(loop)), rng_(random_seed()),
      rate_limit_(settings.answers_per_second), forwarder_(*loop_, channel, std::move(forwarding)) {}

Hand::~Hand() = default;

Result<std::unique_ptr<Hand>> Hand::create(const Settings& settings, const Published<Snapshot>& snapshot,
                                           worker::Channel& channel, ForwardConfig forwarding) {
    std::unique_ptr<io::Loop> loop = TRY(io::Loop::create());
    return std::unique_ptr<Hand>(new Hand(settings, snapshot, channel, std::move(loop), std::move(forwarding)));
}

void Hand::set_sockets(const worker::ListenKey& key, std::vector<Fd> sockets) {
    const auto shared = std::make_shared<std::vector<Fd>>(std::move(sockets));
    loop_->post([this, key, shared] {
        listeners_.erase(key);
        for (Fd& socket : *shared) {
            std::shared_ptr<Listener> listener;
            if (key.protocol == net::Protocol::udp) {
                listener = std::make_shared<UdpListener>(*this, std::move(socket), key.vni);
            } else {
                listener = std::make_shared<TcpListener>(*this, std::move(socket), key.vni);
            }
            // What waited in the socket before it was watched is an edge too: epoll reports readiness when it is added.
            if (listener->start()) listeners_[key].push_back(std::move(listener));
        }
    });
}

void Hand::run(std::stop_token stop) {
    loop_->post([this] { forwarder_.start(); });
    loop_->run(stop);
}

std::optional<std::vector<uint8_t>> Hand::over_limit(std::span<const uint8_t> query, const net::Address& client,
                                                     uint32_t vni) {
    static metrics::Counter& dropped = limited("dropped");
    static metrics::Counter& truncated = limited("truncated");
    const RateLimit::Verdict verdict = rate_limit_.ask(vni, client, loop_->now());
    if (verdict == RateLimit::Verdict::answer) return std::nullopt;
    const auto asked = dns_wire::decode_query(query);
    if (verdict == RateLimit::Verdict::drop || !asked || asked->problem != dns_wire::Rcode::no_error) {
        dropped.add();
        return std::vector<uint8_t>();
    }
    truncated.add();
    dns_wire::Message reply = dns_wire::response_to(asked->message);
    reply.truncated = true;
    return dns_wire::encode(reply, dns_wire::udp_bytes_plain);
}

Response Hand::answer(std::span<const uint8_t> query, Transport transport, uint32_t vni) {
    Response response = respond(query, transport, snapshot_.current(), vni, settings_, rng_);
    if (response.kind != Response::Kind::forward) return response;
    response.vni = vni;
    if (const auto known = cache_.find(vni, response.upstream, response.message, system_clock().now())) {
        complete(response, *known);
        response.stage = "cache";
    }
    return response;
}

void Hand::forward(Response response, Transport transport, std::function<void(std::vector<uint8_t>)> reply) {
    const auto shared = std::make_shared<Response>(std::move(response));
    forwarder_.ask(shared->upstream, shared->message,
                   [this, shared, transport, reply = std::move(reply)](Result<dns_wire::Message> upstream) {
                       fill(*shared, std::move(upstream));
                       reply(finish(*shared, transport));
                   });
}

// With what the upstream says now; if that is nothing, with what it said lately.
void Hand::fill(Response& response, Result<dns_wire::Message> upstream) {
    const MonotonicTime now = system_clock().now();
    const bool is_answer = upstream && (upstream->rcode == dns_wire::Rcode::no_error ||
                                        upstream->rcode == dns_wire::Rcode::nx_domain);
    if (is_answer) {
        cache_.store(response.vni, response.upstream, response.message, *upstream, now);
    } else if (auto stale = cache_.find_stale(response.vni, response.upstream, response.message, now)) {
        complete(response, *stale);
        response.stage = "stale";
        if (response.message.edns)
            response.message.edns->extended_error = stale->rcode == dns_wire::Rcode::nx_domain
                                                        ? dns_wire::ExtendedError::stale_nx_domain_answer
                                                        : dns_wire::ExtendedError::stale_answer;
        return;
    }
    complete(response, upstream);
}

}  // namespace weft::dns
