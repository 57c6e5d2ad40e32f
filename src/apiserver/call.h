// Call and Reply: one API request and its answer as plain values, so that everything but the wire is a function
// Call → Reply. A Reply has a body, or a stream (watch), or takes the connection over (log, exec); serve.cpp carries it
// out. Threads: values; a stream runs on its connection's thread.
#pragma once
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/failure.h"
#include "http/server.h"
#include "http/url.h"

namespace weft::apiserver {

struct Role;  // authorize.h

// Who asks. Made from the bearer token.
struct Identity {
    std::string user = "system:anonymous";
    const Role* role = nullptr;  // nullptr: only what anyone may see
    std::string ns{};            // not empty: only in this namespace
    std::string uid{};                  // of the ServiceAccount, or as impersonated
    std::vector<std::string> groups{};  // as impersonated: beside those that the name gives
};

struct Call {
    std::string method;
    std::string path;                   // as sent, still encoded
    std::vector<std::string> segments;  // of the path, decoded: "/api/v1/pods" is {"api", "v1", "pods"}
    http::Query query;
    std::string content_type, accept, user_agent, if_none_match, authorization;
    std::string impersonate_user, impersonate_uid;  // Impersonate-User, -Uid, -Group
    std::vector<std::string> impersonate_groups;
    bool impersonates_extra = false;  // an Impersonate-Extra-... came
    std::string body;

    // Splits and decodes. Failure: 400 when percent-coding is malformed.
    static Outcome<Call> parse(std::string_view method, std::string_view path, std::string_view query);
};

// Where a stream writes. False: the client is gone.
class Sink {
public:
    virtual ~Sink() = default;
    virtual bool write(std::string_view data) = 0;
    virtual bool gone() = 0;
    virtual std::stop_token stop() const = 0;
};

struct Reply {
    int status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
    std::function<void(Sink&)> stream;                          // instead of body
    std::function<void(http::Request&, http::Exchange&)> take;  // instead of both; answers the exchange itself

    static Reply text(int status, std::string body);
};

}  // namespace weft::apiserver
