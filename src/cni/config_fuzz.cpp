// Any bytes on stdin: a configuration or an error of the standard, never anything else; what is accepted prints as
// JSON.
#include <cstddef>
#include <cstdint>

#include "cni/config.h"
#include "cni/result.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
    using namespace weft::cni;
    const std::string_view text(reinterpret_cast<const char*>(data), bytes);
    (void)version_for_errors(text);
    for (const std::string_view command : {"ADD", "DEL", "CHECK", "STATUS", "GC"}) {
        const auto config = parse_config(text, command, "eth0");
        if (!config) {
            if (!weft::json::parse(error_json("1.0.0", config.error()))) __builtin_trap();
            continue;
        }
        const weft::protocol::cni::Wired wired{"wpod1", "02:00:00:00:00:01", "06:77:00:00:00:01",
                                               1500,    "10.0.1.4",          "169.254.1.1"};
        if (!weft::json::parse(result_json(*config, wired, "eth0", "/run/netns/x"))) __builtin_trap();
        (void)compare(config->previous, wired);
    }
    return 0;
}
