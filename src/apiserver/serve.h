// Serve: the wire. Turns an HTTP exchange into a Call, lets Api answer, and carries out the Reply.
// Threads: called on connection threads; `api` must outlive the server that calls it.
#pragma once
#include "apiserver/api.h"
#include "http/server.h"

namespace weft::apiserver {

void serve(Api& api, http::Request& request, http::Exchange& exchange);

}  // namespace weft::apiserver
