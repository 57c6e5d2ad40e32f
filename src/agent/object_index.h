// ObjectIndex: the objects of a cache by a text of theirs: slices under their Service, blocks under their node. With
// 20,000 AddressBlocks in the cache nobody walks them to find a dozen.
//
// It follows the cache by on_change, before every handler that is registered later, so those find it up to date. Lives
// as long as whoever holds it; the brain's handler keeps it alive too. Threads: the brain's.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "kube/brain.h"

namespace weft::agent {

class ObjectIndex {
public:
    // "" = stands nowhere.
    using TextOf = std::string (*)(const kube::Object&);
    using Objects = std::map<kube::ObjectKey, kube::ObjectPtr>;

    static std::shared_ptr<const ObjectIndex> of(kube::Brain& brain, const kube::Cache& cache, TextOf text_of);

    const Objects& under(std::string_view text) const;  // ordered by key; until the next change

private:
    explicit ObjectIndex(TextOf text_of) : text_of_(text_of) {}

    void follow(const kube::ObjectPtr& before, const kube::ObjectPtr& after);

    const TextOf text_of_;
    std::map<std::string, Objects, std::less<>> objects_;
};

}  // namespace weft::agent
