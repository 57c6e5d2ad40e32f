// The API server process: opens the store, then listens on TLS (127.0.0.1, port 6443 if free, else one chosen once and
// kept) and on the instance's unix socket, writes tokens and the kubeconfig, and serves until it is stopped. Ready in
// well under a second. Every file is the instance's (base/instance.h):
// <state_dir>/{store.db,ca.pem,server.pem,root.token,port,kubeconfig}.
#pragma once
#include <stop_token>

#include "base/instance.h"
#include "base/result.h"

namespace weft::apiserver {

struct Options {
    Instance instance;
    bool force = false;  // accept a lost or older store (store/log.h)
};

Status run(const Options& options, std::stop_token stop);

}  // namespace weft::apiserver
