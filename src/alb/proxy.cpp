#include "alb/proxy.h"

#include <optional>

#include "base/log.h"

namespace weft::alb {

Proxy::Proxy(worker::Channel& channel) : channel_(channel), routes_(std::make_shared<const RouteTable>(AlbConfig{})) {}

Proxy::~Proxy() { stop(); }

Result<std::unique_ptr<Proxy>> Proxy::create(worker::Channel& channel, unsigned hands, const Timeouts& timeouts) {
    std::unique_ptr<Proxy> proxy(new Proxy(channel));
    for (unsigned i = 0; i < hands; ++i)
        proxy->hands_.push_back(TRY(Hand::create(i, channel, proxy->routes_, timeouts)));
    for (const auto& hand : proxy->hands_) hand->start();
    return proxy;
}

Status Proxy::apply(const AlbConfig& config) {
    routes_.publish(std::make_shared<const RouteTable>(config));
    std::set<worker::ListenKey> wanted;
    for (const auto& listener : config.listeners) {
        wanted.insert({.vni = listener.vni, .address = listener.at.address, .port = listener.at.port});
    }
    // Those an earlier self of ours had and nobody wants any more go too.
    std::set<worker::ListenKey> unwanted = listening_;
    for (const auto& held : channel_.held()) unwanted.insert(held);
    for (const auto& key : unwanted) {
        if (wanted.contains(key)) continue;
        for (const auto& hand : hands_) hand->remove_listener(key);
        if (const auto gone = channel_.unlisten(key); !gone && gone.error().code != Code::not_found) {
            log::warning("cannot give a listener back",
                         {{"vni", key.vni}, {"address", key.address.text()}, {"error", gone.error().message}});
        }
        listening_.erase(key);
    }
    std::optional<Error> first_error;
    for (const auto& key : wanted) {
        if (listening_.contains(key)) continue;
        auto sockets = channel_.listen(key, unsigned(hands_.size()));
        if (!sockets || sockets->size() < hands_.size()) {
            const Error error = sockets ? Error{Code::exhausted, "fewer sockets than asked for"} : sockets.error();
            if (!first_error)
                first_error = error.in("listen on " + io::SocketAddress{key.address, key.port}.text() + " of VNI " +
                                       std::to_string(key.vni));
            continue;
        }
        for (size_t i = 0; i < hands_.size(); ++i) hands_[i]->add_listener(key, std::move((*sockets)[i]));
        listening_.insert(key);
        log::info("listening", {{"vni", key.vni}, {"address", key.address.text()}, {"port", key.port}});
    }
    programmed_ = !first_error.has_value();
    if (first_error) return fail(*first_error);
    return {};
}

void Proxy::stop() {
    for (const auto& hand : hands_) hand->stop();
}

}  // namespace weft::alb
