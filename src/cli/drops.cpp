// weft drops: what the data plane dropped, by hook and reason, as the agents' metrics count it.
#include <fmt/format.h>

#include <map>
#include <thread>

#include "base/strings.h"
#include "cli/ask.h"
#include "cli/nodes.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/views.h"
#include "kernel/abi.h"

namespace weft::cli {

// node → {hook="pod_egress",reason="spoofed_mac" → packets}
using Drops = std::map<std::string, std::map<std::string, uint64_t>>;

// weft_drops_total{hook="pod_egress",reason="spoofed_mac"} 3
static Result<Drops> read_drops(const Instance& instance) {
    static constexpr std::string_view head = "weft_drops_total{";
    Drops drops;
    for (const std::string& node : TRY(node_names(instance))) {
        const auto text = ask_process(instance.node_run_dir(node) + "/agent.health.sock", "/metrics");
        if (!text) continue;
        for (const std::string_view line : split(*text, '\n')) {
            const size_t close = line.find('}');
            if (!line.starts_with(head) || close == std::string_view::npos) continue;
            const uint64_t packets = parse_unsigned(trim(line.substr(close + 1))).value_or(0);
            drops[node][std::string(line.substr(head.size(), close - head.size()))] = packets;
        }
    }
    return drops;
}

static json::Object entry_of(const std::string& node, std::string_view labels, uint64_t packets) {
    json::Object out;
    out["node"] = node;
    for (const std::string_view label : split(labels, ',')) {
        const size_t equals = label.find('=');
        if (equals == std::string_view::npos || label.size() < equals + 3) continue;
        out[json::String(label.substr(0, equals))] = json::String(label.substr(equals + 2, label.size() - equals - 3));
    }
    out["packets"] = packets;
    return out;
}

// What was added since `before`, which becomes `now`.
static json::Array news_of(const Drops& now, Drops& before) {
    json::Array list;
    for (const auto& [node, counts] : now)
        for (const auto& [labels, packets] : counts)
            if (packets > before[node][labels])
                list.emplace_back(entry_of(node, labels, packets - before[node][labels]));
    before = now;
    return list;
}

static std::string next_of(std::string_view reason) {
    for (uint32_t one = 1; one < abi::DROP_REASONS; ++one)
        if (abi::drop_reason_name(one) == reason) return std::string(abi::drop_reason_next(one));
    return {};
}

static Table table_of(const json::Array& list) {
    Table table{{"NODE", "HOOK", "REASON", {"PACKETS", Align::right}, {"NEXT", Align::left, true}}, {}};
    for (const json::Value& entry : list) {
        if (abi::is_noise(json::find_string(entry, {"reason"}))) continue;  // it stands in -o json and in the metrics
        table.rows.push_back({std::string(json::find_string(entry, {"node"})), std::string(json::find_string(entry, {"hook"})),
                              std::string(json::find_string(entry, {"reason"})),
                              std::to_string(json::find(entry, {"packets"})->to_number<uint64_t>()),
                              next_of(json::find_string(entry, {"reason"}))});
    }
    return table;
}

Result<json::Value> drops_view(const Instance& instance) {
    Drops before;
    return json::Value(news_of(TRY(read_drops(instance)), before));
}

static Status follow_drops(const Common& common, const Instance& instance) {
    Drops before;
    for (bool first = true;; first = false) {
        const json::Array news = news_of(TRY(read_drops(instance)), before);
        if (is_for_programs(common)) {
            for (const json::Value& entry : news) fmt::print("{}\n", json::serialize(entry));  // one a line
        } else if (first || !news.empty()) {
            const std::string text = text_of(table_of(news), false);
            fmt::print("{}", first ? text : text.substr(text.find('\n') + 1));
        }
        std::fflush(stdout);
        std::this_thread::sleep_for(std::chrono::seconds(1));
    }
}

int drops(const Common& common, bool follow) {
    const auto instance = find_instance(common);
    if (!instance) return report(instance.error());
    if (follow) return report(follow_drops(common, *instance).error());
    const auto list = drops_view(*instance);
    if (!list) return report(list.error());
    show(common, table_of(list->get_array()), *list);
    return 0;
}

}  // namespace weft::cli
