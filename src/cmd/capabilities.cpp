#include "cmd/capabilities.h"

#include <cap-ng.h>

#include <string>

namespace weft::cmd {

Status keep_only(std::initializer_list<int> capabilities) {
    capng_clear(CAPNG_SELECT_BOTH);
    for (const int capability : capabilities)
        if (capng_update(CAPNG_ADD, capng_type_t(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET), unsigned(capability)) != 0)
            return fail(Code::invalid, "capability " + std::to_string(capability));
    if (const int error = capng_apply(CAPNG_SELECT_BOTH); error != 0)
        return fail(Code::denied, "giving up capabilities: step " + std::to_string(-error));
    return {};
}

}  // namespace weft::cmd
