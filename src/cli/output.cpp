#include "cli/output.h"

#include <fmt/format.h>

#include <algorithm>

namespace weft::cli {

// Letters, not bytes: what follows the first byte of a UTF-8 letter is 10xxxxxx.
static size_t width_of(std::string_view cell) {
    return size_t(std::count_if(cell.begin(), cell.end(), [](char c) { return (uint8_t(c) & 0xc0) != 0x80; }));
}

std::string text_of(const Table& table, bool wide) {
    std::vector<size_t> shown;
    for (size_t i = 0; i < table.columns.size(); i++)
        if (wide || !table.columns[i].wide) shown.push_back(i);
    std::vector<std::vector<std::string>> lines(1);
    for (const size_t i : shown) lines[0].push_back(table.columns[i].title);
    for (const auto& row : table.rows) {
        auto& line = lines.emplace_back();
        for (const size_t i : shown) line.push_back(i < row.size() ? row[i] : "");
    }
    std::vector<size_t> widths(shown.size());
    for (const auto& line : lines)
        for (size_t i = 0; i < line.size(); i++) widths[i] = std::max(widths[i], width_of(line[i]));
    std::string text;
    for (const auto& line : lines) {
        std::string out;
        for (size_t i = 0; i < line.size(); i++) {
            const std::string padding(widths[i] - width_of(line[i]), ' ');
            const bool right = table.columns[shown[i]].align == Align::right;
            out += (i == 0 ? "" : "  ") + (right ? padding + line[i] : line[i] + padding);
        }
        out.erase(out.find_last_not_of(' ') + 1);
        text += out + "\n";
    }
    return text;
}

bool is_for_programs(const Common& common) { return common.output == "json" || common.output == "yaml"; }

void print_value(const Common& common, const json::Value& value) {
    fmt::print("{}", common.output == "yaml" ? json::to_yaml(value) : json::serialize_pretty(value));
}

void show(const Common& common, const Table& table, const json::Value& value) {
    if (is_for_programs(common)) {
        print_value(common, value);
    } else {
        fmt::print("{}", text_of(table, common.output == "wide"));
    }
}

}  // namespace weft::cli
