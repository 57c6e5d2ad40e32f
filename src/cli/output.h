// Output: what a verb found, once for people and once for programs. Every verb that shows something takes the same -o:
// table (the default), wide, json, yaml.
//
//   show(common, {{"NODE", "PROCESS", {"PID", Align::right}}, rows}, value);   // the table, or the value
//
// Cells are UTF-8 without tabs; the last column is not padded. Threads: the verb's.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/context.h"

namespace weft::cli {

enum class Align : uint8_t { left, right };

struct Column {
    Column(const char* name, Align side = Align::left, bool only_wide = false)
        : title(name), align(side), wide(only_wide) {}

    std::string title;
    Align align;
    bool wide;  // shown with -o wide only
};

struct Table {
    std::vector<Column> columns;
    std::vector<std::vector<std::string>> rows;  // one cell a column; a missing one is empty
};

// Aligned lines, each with its newline. Without rows: the titles alone.
std::string text_of(const Table& table, bool wide);

bool is_for_programs(const Common& common);  // json or yaml was asked for
void print_value(const Common& common, const json::Value& value);
void show(const Common& common, const Table& table, const json::Value& value);

}  // namespace weft::cli
