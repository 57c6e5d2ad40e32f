// CniEar: the agent's unix socket, where `weft-cni` asks. One thread accepts, one thread per call reads the request,
// hands it to `ask` and waits for the answer; the slow end of a DEL (taking the link away) is done there, not in the
// brain, and answered as soon as the link is out of sight in our own network namespace.
//
// The socket is root's, 0600, and the peer's uid is checked besides. More than calls_max at once: answered "try again".
// Errors of listen(): from the file system. Destroying it ends all calls (their callers see no answer and try again).
// Threads: `ask` is called on call threads and must make respond be called at most once, from any thread.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/endpoint.h"
#include "protocol/cni.h"

namespace weft::agent {

inline constexpr unsigned calls_max = 256;
inline constexpr int request_timeout_s = 5;  // from connect to the whole request

class CniEar {
public:
    using Ask = std::function<void(const protocol::cni::Request&, EndpointService::Respond)>;
    using Disconnect = std::function<Status(const std::string& host_link)>;

    static Result<std::unique_ptr<CniEar>> listen(const std::string& path, Ask ask, Disconnect disconnect);
    virtual ~CniEar() = default;
};

}  // namespace weft::agent
