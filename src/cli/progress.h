// Progress: one line per step of a longer verb, with the time it took; waiting for a named fact with a deadline.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace weft::cli {

// "  api server ready                                0.4 s". The step's error ends the verb.
Status step(std::string_view name, const std::function<Status()>& work);

// Asks until `holds` succeeds; after the deadline: timeout with its last error.
Status wait_until(Duration deadline, const std::function<Status()>& holds);

}  // namespace weft::cli
