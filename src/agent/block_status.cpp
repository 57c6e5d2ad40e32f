#include "agent/block_status.h"

namespace weft::agent {
namespace {

bool agrees(const json::Value* actual, const json::Object& desired) {
    for (const auto& [name, value] : desired) {
        const json::Value* have = actual == nullptr ? nullptr : json::find(*actual, {name});
        if (have == nullptr || *have != value) return false;
    }
    return true;
}

}  // namespace

kube::Outcome BlockStatus::reconcile(const kube::ObjectKey& key) {
    const kube::ObjectPtr object = view_.blocks.get(key);
    if (!object || object->string({"spec", "node"}) != view_.node_name) return kube::Outcome::done();
    const auto block = parse_block(object->body());
    if (!block) return kube::Outcome::done();  // the controller's own object: nothing we could say helps
    const uint64_t now_s = uptime_s(clock_);
    log_.forget_cooled(now_s);
    const auto vswitch = view_.vswitch(block->vswitch);
    const json::Object want = desired_block_status(*block, vswitch ? &*vswitch : nullptr, log_, now_s, clock_.wall(),
                                                   object->find({"status"}));
    if (!agrees(object->find({"status"}), want)) writer_.write(key, object->uid(), want);
    // Look again when the next address has rested enough.
    uint64_t next = 0;
    for (const auto& [cooling, until] : log_.cooling())
        if (cooling.vpc == block->vpc && block->cidr.contains(cooling.address) && (next == 0 || until < next))
            next = until;
    if (next == 0) return kube::Outcome::done();
    return kube::Outcome::again(std::chrono::seconds(next > now_s ? next - now_s : 1));
}

}  // namespace weft::agent
