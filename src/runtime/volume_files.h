// Volume files: a pod's volumes as folders on the host.
//
// A content volume changes as one: its entries are links through `..data`, which is switched to a new folder by a
// rename, so a program sees the old set of files or the new one (kubelet's layout, which programs that watch for
// changes know):
//   app.conf -> ..data/app.conf     ..data -> ..7     ..7/app.conf
//
// Errors: io. Threads: one call per volume at a time.
#pragma once
#include "runtime/volumes.h"

namespace weft::runtime {

// Makes or updates it; an empty one only once. `group` (fsGroup) owns the files when it is not -1.
Status put_volume(const std::string& folder, const VolumePlan& plan, int64_t group);

}  // namespace weft::runtime
