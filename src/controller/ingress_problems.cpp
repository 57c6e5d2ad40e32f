// Ingress problems: compiles all Ingresses of our class as `weft alb` does on every node, and tells on each what is wrong
// with it, once: paths of two, backends and certificates that are not there (ING-23, ING-26, ING-27).
#include <set>

#include "base/log.h"
#include "controller/reconcilers.h"
#include "ingress/config.h"

namespace weft::controller {
namespace {

using kube::ObjectKey;
using kube::ObjectPtr;

const ObjectKey all_of_them{"", "config"};

class Teller {
public:
    explicit Teller(World& world) : world_(world) {}

    kube::Outcome look() {
        if (has_none()) {
            tell({});
            return kube::Outcome::done();
        }
        if (!certificates_) {
            auto made = ingress::Certificates::create();
            if (!made) return kube::Outcome::failed(made.error());
            certificates_.emplace(std::move(*made));
        }
        const auto list = [](const View& view) {
            std::vector<ObjectPtr> objects;
            view.for_each([&](const ObjectPtr& object) { objects.push_back(object); });
            return objects;
        };
        std::vector<ObjectPtr> secrets;
        world_.tls_secrets.for_each([&](const ObjectPtr& secret) { secrets.push_back(secret); });
        auto config = ingress::compile({.ingresses = list(world_.ingresses),
                                        .ingress_classes = list(world_.ingress_classes),
                                        .services = list(world_.services),
                                        .endpoint_slices = {},
                                        .namespaces = list(world_.namespaces),
                                        .vpcs = list(world_.vpcs),
                                        .secrets = std::move(secrets)},
                                       *certificates_);
        certificates_->forget_unused();
        services_ = std::move(config.services);
        secrets_ = std::move(config.secrets);
        tell(config.problems);
        return kube::Outcome::done();
    }

    bool names_service(const ObjectPtr& service) const { return service && services_.contains(service->key()); }
    bool names_secret(const ObjectPtr& secret) const { return secret && secrets_.contains(secret->key()); }

private:
    bool has_none() const {
        bool none = true;
        world_.ingresses.for_each([&](const ObjectPtr&) { none = false; });
        return none;
    }

    // Each problem once, and again when it comes back.
    void tell(const std::vector<ingress::Problem>& problems) {
        std::set<std::pair<std::string, std::string>> now;
        for (const auto& problem : problems) {
            if (problem.ingress->deleting()) continue;
            const auto& [entry, is_new] = now.emplace(problem.ingress->uid(), problem.message);
            if (!is_new || told_.contains(*entry)) continue;
            log::warning("ingress problem", {{"ingress", problem.ingress->key().text()},
                                             {"reason", problem.reason},
                                             {"problem", problem.message}});
            world_.events.warning(*problem.ingress, problem.reason, problem.message);
        }
        told_ = std::move(now);
    }

    World& world_;
    std::optional<ingress::Certificates> certificates_;
    std::set<ObjectKey> services_, secrets_;  // those that Ingresses name
    std::set<std::pair<std::string, std::string>> told_;  // (Ingress uid, message)
};

}  // namespace

void add_ingress_problem_reconciler(World& world) {
    const auto teller = std::make_shared<Teller>(world);
    auto& queue = world.brain.add_reconciler("ingress_problem", [teller](const ObjectKey&) { return teller->look(); });
    const auto look = [&queue](const ObjectPtr&, const ObjectPtr&) { queue.add(all_of_them); };
    for (View* view : {&world.ingresses, &world.ingress_classes, &world.vpcs, &world.namespaces}) view->on_change(look);
    world.services.on_change([&queue, teller](const ObjectPtr& before, const ObjectPtr& after) {
        if (teller->names_service(before) || teller->names_service(after)) queue.add(all_of_them);
    });
    world.tls_secrets.on_change([&queue, teller](const ObjectPtr& before, const ObjectPtr& after) {
        if (teller->names_secret(before) || teller->names_secret(after)) queue.add(all_of_them);
    });
}

}  // namespace weft::controller
