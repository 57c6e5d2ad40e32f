// Bundle: everything that somebody who helps from afar asks for, as one tar file: what runs, versions, the doctor's findings,
// drops, connections, fill of the maps, objects, routes of each namespace, and the ends of the logs.
//
// Of Secrets only the names and sizes of their values leave the machine; tokens and keys are not opened at all. What cannot
// be had is a line of MISSING.txt, never a failure of the whole. Here are the parts that are pure. Source: POSIX ustar.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"
#include "cli/context.h"

namespace weft::cli {

int bundle(const Common& common, const std::string& file, const std::string& self_binary, const std::string& version);

// A Secret whose values are "(N bytes)"; other objects as they are. Copies of it in annotations go too.
json::Value redacted(json::Value object);

// One file of a tar archive; after the last one comes tar_end(). `name` has at most 100 bytes.
std::string tar_entry(std::string_view name, std::string_view content, uint64_t time_s);
std::string tar_end();

}  // namespace weft::cli
