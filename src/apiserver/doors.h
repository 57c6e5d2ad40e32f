// Doors: listening sockets that the supervisor opens where pods can reach them, on every node's host endpoint, and hands
// to this process, which has no right to open any there. One per node: a new one for a node (its namespace was made
// anew) closes the old, and the end of the device that it is bound to closes it for good.
//
// Only root and this user may hand one in, and only a listening TCP socket is taken. Threads: one of its own.
// Source: design.md §5.1 (`kubernetes.default`).
#pragma once
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "http/server.h"

namespace weft::apiserver {

class Doors {
public:
    // `server` must outlive it.
    static Result<std::unique_ptr<Doors>> open(const std::string& path, http::Server& server,
                                               std::shared_ptr<io::TlsContext> tls);
    ~Doors();

private:
    Doors(Fd listener, http::Server& server, std::shared_ptr<io::TlsContext> tls);
    void attend(std::stop_token stop);
    Status take(int connection);
    void close_lost();

    Fd listener_;
    http::Server& server_;
    std::shared_ptr<io::TlsContext> tls_;
    std::map<std::string, Fd> doors_;  // node → a duplicate, to close the server's
    std::jthread thread_;
};

}  // namespace weft::apiserver
