// Delta<K, V>: what must change to turn the actual map into the desired one. Computing it touches nothing.
// Every reconciler uses this one: want = desired_x(...); diff(actual, want); apply(...).
#pragma once
#include <map>
#include <utility>
#include <vector>

namespace weft {

template <class K, class V>
struct Delta {
    std::vector<std::pair<K, V>> puts;  // absent or different today
    std::vector<K> deletes;             // present today, not wanted

    bool empty() const { return puts.empty() && deletes.empty(); }
};

// V needs ==. Both maps are ordered, so one walk suffices.
template <class K, class V, class Less>
Delta<K, V> diff(const std::map<K, V, Less>& actual, const std::map<K, V, Less>& desired) {
    Delta<K, V> delta;
    auto have = actual.begin();
    auto want = desired.begin();
    const Less less = actual.key_comp();
    while (have != actual.end() || want != desired.end()) {
        if (want == desired.end() || (have != actual.end() && less(have->first, want->first))) {
            delta.deletes.push_back(have->first);
            ++have;
        } else if (have == actual.end() || less(want->first, have->first)) {
            delta.puts.emplace_back(want->first, want->second);
            ++want;
        } else {
            if (!(have->second == want->second)) delta.puts.emplace_back(want->first, want->second);
            ++have;
            ++want;
        }
    }
    return delta;
}

}  // namespace weft
