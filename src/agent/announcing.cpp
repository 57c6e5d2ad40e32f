#include "agent/announcing.h"

namespace weft::agent {
namespace {

const kube::ObjectKey the_candidates{"", "candidates"};
constexpr Duration batch_delay = std::chrono::milliseconds(50);
constexpr std::string_view service_name_label = "kubernetes.io/service-name";

// Heartbeats and annotations change nothing here.
bool is_same_candidate(const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
    return before && after && is_usable(*before) == is_usable(*after);
}

}  // namespace

void add_announcing(kube::Brain& brain, const View& view, Announcer& announcer) {
    const kube::Cache& nodes = brain.watch(kube::nodes);
    auto& queue = brain.add_reconciler("announcer", [&](const kube::ObjectKey&) {
        std::vector<kube::ObjectPtr> all, local;
        nodes.for_each([&](const kube::ObjectPtr& node) { all.push_back(node); });
        view.services.for_each([&](const kube::ObjectPtr& service) {
            if (is_announced_where_it_serves(*service)) local.push_back(service);
        });
        announcer.set_candidates(
            find_candidates(all, local, [&](const kube::ObjectKey& key) { return view.slices_of(key); }));
        return kube::Outcome::done();
    });
    brain.on_change(nodes, [&queue](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        if (!is_same_candidate(before, after)) queue.add_after(the_candidates, batch_delay);
    });
    brain.on_change(view.services, [&queue](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        for (const kube::ObjectPtr& side : {before, after})
            if (side && is_announced_where_it_serves(*side)) queue.add_after(the_candidates, batch_delay);
    });
    brain.on_change(view.slices, [&](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        const kube::ObjectPtr& slice = after ? after : before;
        const kube::ObjectPtr service = view.services.get(
            kube::ObjectKey{std::string(slice->ns()), std::string(slice->label(service_name_label))});
        if (service && is_announced_where_it_serves(*service)) queue.add_after(the_candidates, batch_delay);
    });
    brain.every(announcer_round, [&announcer] { announcer.round(); });
}

}  // namespace weft::agent
