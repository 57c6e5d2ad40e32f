// Ask: one of the instance's processes by its health socket. Errors: unavailable with what it answered. Threads: any.
#pragma once
#include <string>

#include "base/result.h"

namespace weft::cli {

Result<std::string> ask_process(const std::string& socket, const std::string& path);  // the body of a 200

}  // namespace weft::cli
