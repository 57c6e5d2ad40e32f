#include "agent/object_index.h"

namespace weft::agent {

std::shared_ptr<const ObjectIndex> ObjectIndex::of(kube::Brain& brain, const kube::Cache& cache, TextOf text_of) {
    const std::shared_ptr<ObjectIndex> index(new ObjectIndex(text_of));
    cache.for_each([&](const kube::ObjectPtr& object) { index->follow(nullptr, object); });
    brain.on_change(cache, [index](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
        index->follow(before, after);
    });
    return index;
}

const ObjectIndex::Objects& ObjectIndex::under(std::string_view text) const {
    static const Objects none;
    const auto found = objects_.find(text);
    return found == objects_.end() ? none : found->second;
}

void ObjectIndex::follow(const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
    if (before) {
        if (const auto found = objects_.find(text_of_(*before)); found != objects_.end()) {
            found->second.erase(before->key());
            if (found->second.empty()) objects_.erase(found);
        }
    }
    if (!after) return;
    if (std::string text = text_of_(*after); !text.empty()) objects_[std::move(text)][after->key()] = after;
}

}  // namespace weft::agent
