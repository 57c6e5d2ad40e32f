#include "base/metrics.h"

#include <fmt/format.h>

#include <memory>
#include <mutex>
#include <vector>

namespace weft::metrics {

namespace {

struct Family {
    std::string help;
    const char* type = "counter";
    std::map<LabelSet, std::unique_ptr<Counter>> counters;
    std::map<LabelSet, std::unique_ptr<Gauge>> gauges;
};

struct Registry {
    std::mutex mutex;
    std::map<std::string, Family, std::less<>> families;
    std::vector<std::function<std::string()>> collectors;
};

Registry& registry() {
    static Registry* const it = new Registry;  // outlives every static that counts at exit
    return *it;
}

Family& family(Registry& all, std::string_view name, std::string_view help, const char* type) {
    Family& found = all.families[std::string(name)];
    if (found.help.empty()) found.help = help;
    found.type = type;
    return found;
}

std::string label_text(const LabelSet& labels) {
    if (labels.empty()) return "";
    std::string text = "{";
    for (const auto& [name, value] : labels) {
        if (text.size() > 1) text += ',';
        text += name + "=\"";
        for (const char c : value) {
            if (c == '"' || c == '\\') text += '\\';
            if (c == '\n') {
                text += "\\n";
            } else {
                text += c;
            }
        }
        text += '"';
    }
    return text + "}";
}

}  // namespace

Counter& counter(std::string_view name, const LabelSet& labels, std::string_view help) {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    auto& slot = family(all, name, help, "counter").counters[labels];
    if (!slot) slot = std::make_unique<Counter>();
    return *slot;
}

Gauge& gauge(std::string_view name, const LabelSet& labels, std::string_view help) {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    auto& slot = family(all, name, help, "gauge").gauges[labels];
    if (!slot) slot = std::make_unique<Gauge>();
    return *slot;
}

void add_collector(std::function<std::string()> collect) {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    all.collectors.push_back(std::move(collect));
}

std::string render() {
    Registry& all = registry();
    std::string out;
    std::vector<std::function<std::string()>> collectors;
    {
        const std::lock_guard lock(all.mutex);
        for (const auto& [name, one] : all.families) {
            if (!one.help.empty()) out += fmt::format("# HELP {} {}\n", name, one.help);
            out += fmt::format("# TYPE {} {}\n", name, one.type);
            for (const auto& [labels, value] : one.counters)
                out += fmt::format("{}{} {}\n", name, label_text(labels), value->value());
            for (const auto& [labels, value] : one.gauges)
                out += fmt::format("{}{} {}\n", name, label_text(labels), value->value());
        }
        collectors = all.collectors;
    }
    for (const auto& collect : collectors) out += collect();
    return out;
}

}  // namespace weft::metrics
