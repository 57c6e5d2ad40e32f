#include "ingress/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/strings.h"
#include "cloud/annotations.h"

namespace weft::ingress {

namespace {

using kube::ObjectKey;
using kube::ObjectPtr;

constexpr std::string_view default_class_annotation = "ingressclass.kubernetes.io/is-default-class";
constexpr std::string_view legacy_class_annotation = "kubernetes.io/ingress.class";

struct Vpc {
    uint32_t vni = 0;
    std::optional<net::Address> address;  // of our class
};

// Objects by the keys that compile() follows.
struct Index {
    std::set<std::string, std::less<>> our_classes;
    bool we_are_default = false;
    std::map<std::string, Vpc, std::less<>> vpcs;
    std::string default_vpc;
    std::map<std::string, std::string, std::less<>> namespace_vpc;
    std::map<ObjectKey, ObjectPtr> services;
    std::map<ObjectKey, std::vector<ObjectPtr>> slices;  // by Service
    std::map<ObjectKey, ObjectPtr> secrets;
};

Index index_objects(const Objects& objects) {
    Index index;
    for (const auto& c : objects.ingress_classes) {
        if (c->string({"spec", "controller"}) != cloud::ingress_class_controller) continue;
        index.our_classes.emplace(c->name());
        index.we_are_default |= c->annotation(default_class_annotation) == "true";
    }
    std::string default_created;
    for (const auto& v : objects.vpcs) {
        Vpc vpc{.vni = uint32_t(v->integer({"status", "vni"}))};
        const auto text = v->string({"status", "ingressAddresses", cloud::ingress_class_controller});
        if (const auto address = net::Address::parse(text)) vpc.address = *address;
        index.vpcs.emplace(v->name(), vpc);
        if (!v->boolean({"spec", "default"})) continue;
        // Several defaults: the oldest, then by name, as cloud::default_vpc has it.
        std::string created = fmt::format("{} {}", v->string({"metadata", "creationTimestamp"}), v->name());
        if (index.default_vpc.empty() || created < default_created) {
            index.default_vpc = v->name();
            default_created = std::move(created);
        }
    }
    for (const auto& n : objects.namespaces)
        index.namespace_vpc.emplace(n->name(), n->annotation(cloud::vpc_annotation));
    for (const auto& s : objects.services) index.services.emplace(s->key(), s);
    for (const auto& s : objects.secrets) index.secrets.emplace(s->key(), s);
    for (const auto& s : objects.endpoint_slices) {
        index.slices[{std::string(s->ns()), std::string(s->label(service_name_label))}].push_back(s);
    }
    return index;
}

bool is_ours(const kube::Object& ingress, const Index& index) {
    const auto named = ingress.string({"spec", "ingressClassName"}, ingress.annotation(legacy_class_annotation));
    return named.empty() ? index.we_are_default : index.our_classes.contains(named);
}

const Vpc* vpc_of(std::string_view ns, const Index& index) {
    const auto named = index.namespace_vpc.find(ns);
    const bool other = named != index.namespace_vpc.end() && !named->second.empty();
    const auto vpc = index.vpcs.find(other ? named->second : index.default_vpc);
    return vpc == index.vpcs.end() ? nullptr : &vpc->second;
}

// Ready endpoints; if none is, those that still serve while they terminate.
std::vector<io::SocketAddress> endpoints_of(const std::vector<ObjectPtr>& slices, std::string_view port_name) {
    std::vector<io::SocketAddress> ready, terminating;
    for (const auto& slice : slices) {
        uint16_t port = 0;
        for (const auto& p : slice->array({"ports"})) {
            if (json::find_string(p, {"name"}) != port_name || json::find_string(p, {"protocol"}, "TCP") != "TCP")
                continue;
            port = uint16_t(json::find_int(p, {"port"}));
        }
        if (port == 0) continue;
        for (const auto& endpoint : slice->array({"endpoints"})) {
            const bool is_ready = json::find_bool(endpoint, {"conditions", "ready"}, true);
            const bool still_serves = json::find_bool(endpoint, {"conditions", "serving"}, false) &&
                                      json::find_bool(endpoint, {"conditions", "terminating"}, false);
            if (!is_ready && !still_serves) continue;
            for (const auto& text : json::find_strings(endpoint, {"addresses"})) {
                if (const auto address = net::Address::parse(text))
                    (is_ready ? ready : terminating).push_back({*address, port});
            }
        }
    }
    auto& chosen = ready.empty() ? terminating : ready;
    std::sort(chosen.begin(), chosen.end());
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    return std::move(chosen);
}

// ING-23: Exact first, then the longest prefix; equals stay in the order of their Ingresses' age.
bool goes_before(const PathRule& a, const PathRule& b) {
    if (a.kind != b.kind) return a.kind == PathKind::exact;
    return a.path.size() > b.path.size();
}

class Compiler {
public:
    Compiler(const Objects& objects, Certificates& certificates)
        : certificates_(certificates), index_(index_objects(objects)) {
        for (const auto& ingress : objects.ingresses) {
            if (is_ours(*ingress, index_)) ingresses_.push_back(ingress);
        }
        const auto age = [](const ObjectPtr& i) {
            return std::tuple(i->string({"metadata", "creationTimestamp"}), i->key());
        };
        std::sort(ingresses_.begin(), ingresses_.end(), [&](const auto& a, const auto& b) { return age(a) < age(b); });
    }

    AlbConfig compile() {
        for (const auto& ingress : ingresses_) add(ingress);
        for (auto& [at, listener] : listeners_) finish(listener);
        return std::move(out_);
    }

private:
    struct Host {
        HostConfig config;
        std::map<std::pair<PathKind, std::string>, ObjectKey> owners;
    };
    struct Listener {
        uint32_t vni = 0;
        io::SocketAddress at;
        std::map<std::string, Host> hosts;
        uint32_t catch_all = no_group;          // of the oldest Ingress without rules
        uint32_t default_of_others = no_group;  // of the oldest Ingress with rules
        bool has_tls = false;
        io::ContextsByName certificates;
        std::map<std::string, std::pair<ObjectKey, ObjectKey>> certificate_owners;  // host → Ingress, Secret
        std::shared_ptr<io::TlsContext> default_certificate;
    };

    void add(const ObjectPtr& ingress) {
        const Vpc* vpc = vpc_of(ingress->ns(), index_);
        if (vpc == nullptr || vpc->vni == 0 || !vpc->address)
            return;  // the controller gives the address; then we come again
        const io::SocketAddress at{*vpc->address, http_port};
        Listener& listener = listeners_[{vpc->vni, at}];
        listener.vni = vpc->vni;
        listener.at = at;
        uint32_t fallback = no_group;
        if (const auto* backend = ingress->find({"spec", "defaultBackend"})) fallback = group(ingress, *backend);
        const auto& rules = ingress->array({"spec", "rules"});
        uint32_t& catch_all = rules.empty() ? listener.catch_all : listener.default_of_others;
        if (catch_all == no_group) catch_all = fallback;
        for (const auto& rule : rules) add_rule(ingress, rule, fallback, listener);
        for (const auto& tls : ingress->array({"spec", "tls"})) add_tls(ingress, tls, listener);
    }

    // One entry of spec.tls. Without a usable Secret its hosts are served with the default certificate (ING-26).
    void add_tls(const ObjectPtr& ingress, const json::Value& tls, Listener& listener) {
        listener.has_tls = true;
        const auto secret_name = json::find_string(tls, {"secretName"});
        if (secret_name.empty()) return;
        const ObjectKey key{std::string(ingress->ns()), std::string(secret_name)};
        out_.secrets.insert(key);
        const auto secret = index_.secrets.find(key);
        if (secret == index_.secrets.end()) {
            problem(ingress, "CertificateNotFound",
                    fmt::format("spec.tls: there is no Secret {} of type kubernetes.io/tls", key.text()));
            return;
        }
        const auto context = certificates_.of(*secret->second);
        if (!context) {
            problem(ingress, "CertificateInvalid",
                    fmt::format("spec.tls: Secret {}: {}", key.text(), context.error().message));
            return;
        }
        const auto hosts = json::find_strings(tls, {"hosts"});
        if (hosts.empty() && !listener.default_certificate) listener.default_certificate = *context;
        for (const std::string& named : hosts) {
            const std::string host = to_lower(named);
            const auto [owner, is_new] = listener.certificate_owners.try_emplace(host, ingress->key(), key);
            if (is_new) {
                listener.certificates.emplace(host, *context);
            } else if (owner->second.second != key) {
                problem(ingress, "CertificateConflict",
                        fmt::format("spec.tls: host \"{}\" has its certificate from Ingress {}", host,
                                    owner->second.first.text()));
            }
        }
    }

    void add_rule(const ObjectPtr& ingress, const json::Value& rule, uint32_t fallback, Listener& listener) {
        const std::string name = to_lower(json::find_string(rule, {"host"}));
        Host& host = listener.hosts[name];
        host.config.host = name;
        if (host.config.fallback == no_group) host.config.fallback = fallback;
        const auto* paths = json::find_array(rule, {"http", "paths"});
        if (paths == nullptr) return;
        for (const auto& path : *paths) {
            const auto* backend = json::find(path, {"backend"});
            if (backend == nullptr) continue;
            PathRule compiled;
            compiled.kind = json::find_string(path, {"pathType"}) == "Exact" ? PathKind::exact : PathKind::prefix;
            compiled.path = json::find_string(path, {"path"});
            if (compiled.kind == PathKind::prefix) {
                while (compiled.path.ends_with('/')) compiled.path.pop_back();
            }
            const auto [owner, is_new] = host.owners.try_emplace({compiled.kind, compiled.path}, ingress->key());
            if (!is_new) {
                problem(ingress, "PathConflict",
                        fmt::format("spec.rules: host \"{}\" path \"{}\" is served by Ingress {}", name,
                                    json::find_string(path, {"path"}), owner->second.text()));
                continue;
            }
            compiled.group = group(ingress, *backend);
            auto& all = host.config.paths;
            all.insert(std::upper_bound(all.begin(), all.end(), compiled, goes_before), std::move(compiled));
        }
    }

    void finish(Listener& listener) {
        ListenerConfig plain = finished(listener);
        if (listener.has_tls) {
            ListenerConfig secure = plain;
            secure.at.port = https_port;
            auto context = io::tls_by_name(listener.certificates, listener.default_certificate
                                                                      ? listener.default_certificate
                                                                      : certificates_.default_context());
            if (context) {
                secure.tls = std::move(*context);
                out_.listeners.push_back(std::move(secure));
            }
        }
        out_.listeners.push_back(std::move(plain));
    }

    static ListenerConfig finished(Listener& listener) {
        ListenerConfig out{.vni = listener.vni, .at = listener.at};
        out.fallback = listener.catch_all != no_group ? listener.catch_all : listener.default_of_others;
        for (auto& [name, host] : listener.hosts) {
            if (host.config.fallback == no_group) host.config.fallback = out.fallback;
            out.hosts.push_back(std::move(host.config));
        }
        return out;
    }

    // The group of a backend, made on first sight; problems are told for every Ingress that names it.
    uint32_t group(const ObjectPtr& ingress, const json::Value& backend) {
        const auto service_name = json::find_string(backend, {"service", "name"});
        const auto port_name = json::find_string(backend, {"service", "port", "name"});
        const auto port_number = json::find_int(backend, {"service", "port", "number"});
        BackendGroup made;
        if (service_name.empty()) {
            made.name = "resource:" + std::string(json::find_string(backend, {"resource", "name"}));
            made.why_empty =
                fmt::format("resource backend {} {} is not offered", json::find_string(backend, {"resource", "kind"}),
                            json::find_string(backend, {"resource", "name"}));
        } else {
            made.name = fmt::format("{}/{}:{}", ingress->ns(), service_name,
                                    port_name.empty() ? std::to_string(port_number) : std::string(port_name));
        }
        if (const auto known = group_by_name_.find(made.name); known != group_by_name_.end()) {
            report(ingress, out_.groups[known->second]);
            return known->second;
        }
        if (!service_name.empty()) {
            const ObjectKey key{std::string(ingress->ns()), std::string(service_name)};
            out_.services.insert(key);
            resolve(key, port_name, port_number, made);
        }
        report(ingress, made);
        const auto index = uint32_t(out_.groups.size());
        group_by_name_.emplace(made.name, index);
        out_.groups.push_back(std::move(made));
        return index;
    }

    void resolve(const ObjectKey& key, std::string_view port_name, int64_t port_number, BackendGroup& out) const {
        const auto service = index_.services.find(key);
        if (service == index_.services.end()) {
            out.why_empty = fmt::format("Service {} does not exist", key.text());
            return;
        }
        if (service->second->string({"spec", "type"}) == "ExternalName") {
            out.why_empty = fmt::format("Service {} is of type ExternalName, which is refused", key.text());
            return;
        }
        for (const auto& port : service->second->array({"spec", "ports"})) {
            const auto name = json::find_string(port, {"name"});
            if (port_name.empty() ? json::find_int(port, {"port"}) != port_number : name != port_name) continue;
            if (json::find_string(port, {"protocol"}, "TCP") != "TCP") continue;
            const auto slices = index_.slices.find(key);
            if (slices != index_.slices.end()) out.endpoints = endpoints_of(slices->second, name);
            return;
        }
        out.why_empty = fmt::format("Service {} has no TCP port {}", key.text(),
                                    port_name.empty() ? std::to_string(port_number) : std::string(port_name));
    }

    void report(const ObjectPtr& ingress, const BackendGroup& group) {
        if (!group.why_empty.empty()) problem(ingress, "BackendNotFound", "backend: " + group.why_empty);
    }

    void problem(const ObjectPtr& ingress, std::string reason, std::string message) {
        const auto same = [&](const Problem& p) { return p.ingress == ingress && p.message == message; };
        if (std::any_of(out_.problems.begin(), out_.problems.end(), same)) return;
        out_.problems.push_back({ingress, std::move(reason), std::move(message)});
    }

    Certificates& certificates_;
    Index index_;
    std::vector<ObjectPtr> ingresses_;  // ours, oldest first
    std::map<std::pair<uint32_t, io::SocketAddress>, Listener> listeners_;
    std::map<std::string, uint32_t, std::less<>> group_by_name_;
    AlbConfig out_;
};

}  // namespace

AlbConfig compile(const Objects& objects, Certificates& certificates) {
    return Compiler(objects, certificates).compile();
}

}  // namespace weft::ingress
