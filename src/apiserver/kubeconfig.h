// Kubeconfig: the file that lets kubectl speak to this instance as root: server https://127.0.0.1:PORT, our CA, the
// root token; mode 0600. Rewritten only when it would change, so a watching tool is not woken. Threads: one.
#pragma once
#include "base/instance.h"

namespace weft::apiserver {

Status write_kubeconfig(const Instance& instance, uint16_t port, std::string_view ca_pem, std::string_view token);

}  // namespace weft::apiserver
