// What start() takes from a worker's first thread, before any other exists: capabilities belong to threads, and only a
// thread that has none makes threads that have none. enter_sandbox() (worker.h) closes the rest.
#pragma once
#include "base/result.h"

namespace weft::worker {

// Of the calling thread: no capability and no_new_privs. Idempotent.
Status drop_capabilities();

}  // namespace weft::worker
