#include "dns/server.h"

#include <sys/prctl.h>

#include <algorithm>

#include "base/log.h"
#include "worker/sockets.h"

namespace weft::dns {

namespace {

const kube::ObjectKey the_only_key{"", "snapshot"};

bool same_apart_from_version(const kube::ObjectPtr& a, const kube::ObjectPtr& b, json::Path part) {
    if (!a || !b) return false;
    const json::Value* left = a->find(part);
    const json::Value* right = b->find(part);
    return left == right || (left != nullptr && right != nullptr && *left == *right);
}

// Of a pod only its addresses and whether it lives are told to anyone.
bool pod_matters(const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
    return !same_apart_from_version(before, after, {"status", "podIP"}) ||
           !same_apart_from_version(before, after, {"status", "podIPs"}) ||
           !same_apart_from_version(before, after, {"status", "phase"});
}

}  // namespace

Server::Server(Config config, worker::Channel& channel, kube::Client& client)
    : config_(std::move(config)), channel_(channel), brain_(kube::Brain::create(client)),
      snapshot_(std::make_shared<const Snapshot>()) {
    config_.settings.loops = &loops_;
}

Result<std::unique_ptr<Server>> Server::create(Config config, worker::Channel& channel, kube::Client& client) {
    std::unique_ptr<Server> server(new Server(std::move(config), channel, client));
    const Config& settled = server->config_;
    for (unsigned i = 0; i < settled.hands; ++i) {
        ForwardConfig forwarding{settled.upstreams, settled.policy, settled.settings.zone, &server->loops_, i == 0};
        server->hands_.push_back(
            TRY(Hand::create(settled.settings, server->snapshot_, channel, std::move(forwarding))));
    }
    server->watch();
    return server;
}

void Server::watch() {
    services_ = &brain_->watch(kube::services);
    slices_ = &brain_->watch(kube::endpoint_slices);
    pods_ = &brain_->watch(kube::pods);
    namespaces_ = &brain_->watch(kube::namespaces);
    vpcs_ = &brain_->watch(kube::vpcs);
    queue_ = &brain_->add_reconciler("dns_snapshot", [this](const kube::ObjectKey&) { return publish(); });

    const auto touch_namespace = [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        touch(std::string((after ? after : before)->ns()));
    };
    brain_->on_change(*services_, touch_namespace);
    brain_->on_change(*slices_, touch_namespace);
    brain_->on_change(*pods_, [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        if (pod_matters(before, after)) touch(std::string((after ? after : before)->ns()));
    });
    brain_->on_change(*namespaces_, [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        touch(std::string((after ? after : before)->name()));
    });
    brain_->on_change(*vpcs_, [this](const kube::ObjectPtr&, const kube::ObjectPtr&) {
        queue_->add_after(the_only_key, publish_delay);
    });
    brain_->on_synced([this] { touch_all(); });
    brain_->every(retry_period, [this, turn = 0u]() mutable { tend_sockets(turn++ % recheck_every == 0); });
}

void Server::touch(const std::string& ns) {
    touched_.insert(ns);
    queue_->add_after(the_only_key, publish_delay);
}

void Server::touch_all() {
    namespaces_->for_each([this](const kube::ObjectPtr& ns) { touched_.insert(std::string(ns->name())); });
    queue_->add(the_only_key);
}

std::shared_ptr<const NamespaceZone> Server::build(const kube::Object& ns) const {
    NamespaceObjects objects;
    const std::string name(ns.name());
    services_->for_each_in(name, [&](const kube::ObjectPtr& it) { objects.services.push_back(it); });
    slices_->for_each_in(name, [&](const kube::ObjectPtr& it) { objects.slices.push_back(it); });
    pods_->for_each_in(name, [&](const kube::ObjectPtr& it) { objects.pods.push_back(it); });
    return std::make_shared<const NamespaceZone>(build_namespace(dns_name_of(ns), objects));
}

kube::Outcome Server::publish() {
    for (const std::string& name : touched_) {
        const kube::ObjectPtr ns = namespaces_->get(name);
        if (ns) {
            zones_[name] = build(*ns);
        } else {
            zones_.erase(name);
        }
    }
    touched_.clear();

    std::map<std::string, View> views;
    std::string default_vpc;
    vpcs_->for_each([&](const kube::ObjectPtr& vpc) {
        if (vpc->boolean({"spec", "default"})) default_vpc = vpc->name();
        if (std::optional<View> view = build_view(*vpc)) views.emplace(std::string(vpc->name()), std::move(*view));
    });
    const auto add = [&](const kube::ObjectPtr& ns) {
        const std::string vpc = vpc_of(*ns);
        const auto view = views.find(vpc.empty() ? default_vpc : vpc);
        const auto zone = zones_.find(std::string(ns->name()));
        if (view != views.end() && zone != zones_.end()) add_namespace(view->second, zone->second);
    };
    // A namespace under its own name goes before one that borrows that name.
    namespaces_->for_each([&](const kube::ObjectPtr& ns) { if (dns_name_of(*ns) == ns->name()) add(ns); });
    namespaces_->for_each([&](const kube::ObjectPtr& ns) { if (dns_name_of(*ns) != ns->name()) add(ns); });

    auto next = std::make_shared<Snapshot>();
    next->synced = true;
    const auto wall_s =
        std::chrono::duration_cast<std::chrono::seconds>(brain_->clock().wall().time_since_epoch()).count();
    next->serial = serial_ = std::max(serial_ + 1, uint32_t(wall_s));
    for (auto& [name, view] : views) {
        add_kubernetes(view);
        next->views[view.vni] = std::make_shared<const View>(std::move(view));
    }
    snapshot_.publish(std::move(next));
    tend_sockets(false);
    return kube::Outcome::done();
}

std::set<worker::ListenKey> Server::wanted_keys() const {
    std::set<worker::ListenKey> keys;
    const std::shared_ptr<const Snapshot> now = snapshot_.get();
    for (const auto& [vni, view] : now->views) {
        for (const net::Protocol protocol : {net::Protocol::udp, net::Protocol::tcp}) {
            keys.insert({vni, view->server_address, config_.port, protocol});
            if (view->ipv6_server_address) keys.insert({vni, *view->ipv6_server_address, config_.port, protocol});
        }
    }
    return keys;
}

void Server::tend_sockets(bool also_open) {
    const std::set<worker::ListenKey> wanted = wanted_keys();
    std::set<worker::ListenKey> unwanted;
    for (const auto& [key, cookies] : open_) unwanted.insert(key);
    for (const worker::ListenKey& key : channel_.held()) unwanted.insert(key);
    for (const worker::ListenKey& key : wanted) unwanted.erase(key);
    for (const worker::ListenKey& key : unwanted) {
        give_to_hands(key, {});
        if (const Status let_go = channel_.unlisten(key); !let_go) {
            log::warning("cannot let go of a listener", {{"vni", key.vni}, {"error", let_go.error().message}});
        }
    }
    for (const worker::ListenKey& key : wanted) {
        if (!also_open && open_.contains(key)) continue;
        if (!tend(key)) return;
    }
}

bool Server::tend(const worker::ListenKey& key) {
    Result<std::vector<Fd>> sockets = channel_.listen(key, config_.hands);
    if (!sockets) {
        const Code code = sockets.error().code;
        if (code == Code::not_found) give_to_hands(key, {});
        if (code != Code::not_found && code != Code::timeout) {
            log::warning("cannot listen",
                         {{"vni", key.vni}, {"address", key.address.text()}, {"error", sockets.error().message}});
        }
        return code != Code::timeout;
    }
    std::vector<uint64_t> cookies;
    for (const Fd& socket : *sockets) cookies.push_back(worker::socket_cookie(socket.get()));
    const auto mine = open_.find(key);
    if (mine == open_.end() || mine->second != cookies) give_to_hands(key, std::move(*sockets));
    return true;
}

void Server::give_to_hands(const worker::ListenKey& key, std::vector<Fd> sockets) {
    std::vector<uint64_t> cookies;
    std::vector<std::vector<Fd>> shares(hands_.size());
    for (size_t i = 0; i < sockets.size(); ++i) {
        cookies.push_back(worker::socket_cookie(sockets[i].get()));
        shares[i % hands_.size()].push_back(std::move(sockets[i]));
    }
    if (cookies.empty() && !open_.contains(key)) return;
    for (size_t i = 0; i < hands_.size(); ++i) hands_[i]->set_sockets(key, std::move(shares[i]));
    log::info(cookies.empty() ? "stopped serving" : "serving",
              {{"vni", key.vni}, {"address", key.address.text()}, {"protocol", net::protocol_name(key.protocol)}});
    if (cookies.empty()) {
        open_.erase(key);
    } else {
        open_[key] = std::move(cookies);
    }
}

void Server::open_without_sync() {
    if (brain_->synced()) return;
    log::warning("no sync yet: answering SERVFAIL in the zone");
    for (const worker::ListenKey& key : channel_.held()) {
        if (!tend(key)) return;
    }
}

void Server::run(std::stop_token stop) {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < hands_.size(); ++i) {
        threads.emplace_back([hand = hands_[i].get(), i, stop] {
            prctl(PR_SET_NAME, ("dns-hand-" + std::to_string(i)).c_str());
            hand->run(stop);
        });
    }
    const auto over = [](void* it) {
        auto* const server = static_cast<Server*>(it);
        server->brain_->post([server] { server->open_without_sync(); });
    };
    const auto patience = std::make_shared<io::Timer>(over, this);
    hands_.front()->loop().post([this, patience] { patience->arm(hands_.front()->loop(), config_.sync_patience); });
    brain_->run(stop);
    threads.clear();
    patience->disarm();
}

}  // namespace weft::dns
