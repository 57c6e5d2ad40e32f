// Index: which objects of a View stand under a text: pods under each label, slices under their Service. What a change
// must look at is found without walking all objects of the kind.
//
// A View keeps its indexes true, our own writes laid over the cache included. Threads: the brain's only.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kube/object.h"

namespace weft::controller {

class Index {
public:
    // The texts an object stands under, each added once or more.
    using Texts = std::function<void(const kube::Object&, std::set<std::string>& texts)>;

    explicit Index(Texts texts) : texts_(std::move(texts)) {}

    const std::set<kube::ObjectKey>& keys(std::string_view text) const;
    // What stands at the key now; null = nothing.
    void refresh(const kube::ObjectKey& key, const kube::ObjectPtr& now);

private:
    const Texts texts_;
    std::map<kube::ObjectKey, std::set<std::string>> texts_of_;
    std::map<std::string, std::set<kube::ObjectKey>, std::less<>> keys_of_;
};

}  // namespace weft::controller
