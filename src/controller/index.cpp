#include "controller/index.h"

namespace weft::controller {

const std::set<kube::ObjectKey>& Index::keys(std::string_view text) const {
    static const std::set<kube::ObjectKey> none;
    const auto found = keys_of_.find(text);
    return found == keys_of_.end() ? none : found->second;
}

void Index::refresh(const kube::ObjectKey& key, const kube::ObjectPtr& now) {
    std::set<std::string> next;
    if (now) texts_(*now, next);
    const auto known = texts_of_.find(key);
    if (known == texts_of_.end() && next.empty()) return;
    if (known != texts_of_.end() && known->second == next) return;
    if (known != texts_of_.end()) {
        for (const std::string& text : known->second) {
            const auto keys = keys_of_.find(text);
            keys->second.erase(key);
            if (keys->second.empty()) keys_of_.erase(keys);
        }
    }
    for (const std::string& text : next) keys_of_[text].insert(key);
    if (next.empty()) texts_of_.erase(known);
    else texts_of_[key] = std::move(next);
}

}  // namespace weft::controller
