// Forward: how a request's head looks to the backend, and a response's head to the client. Pure text work.
//
// Hop-by-hop headers go (Connection and what it names, Keep-Alive, TE, Upgrade, ...), framing is written anew, Host
// stays. X-Forwarded-For is appended to; X-Forwarded-Proto, -Host and -Port are ours alone: what the client sent is
// dropped. Source: RFC 9110 §7.6; RFC 9112 §6; spec/kubernetes.md ING-29.
#pragma once
#include <string>
#include <string_view>

#include "http/h1.h"

namespace weft::alb {

struct RequestContext {
    std::string_view client;  // address text
    std::string_view host;    // effective: of an absolute target, else Host
    std::string_view target;  // origin form
    std::string_view port;    // where the request arrived
    bool upgrade = false;     // ask the backend to switch protocols too
    bool tls = false;         // the request came by HTTPS
};

void append_upstream_request(std::string& out, const http::RequestHead& request, const http::Framing& framing,
                             const RequestContext& context);

// What the client's side of a response will be.
struct ResponsePlan {
    bool chunked = false;    // write chunks
    bool keep_alive = true;  // the client's connection stays
};
// `framing` as read from the backend; `wish` whether both sides would keep the connection.
ResponsePlan plan_response(const http::Framing& framing, http::Version client_version, bool keep_alive_wish);

void append_downstream_response(std::string& out, const http::ResponseHead& response, const http::Framing& framing,
                                const ResponsePlan& plan, http::Version client_version);
// 1xx, a 101 with its Upgrade header.
void append_interim_response(std::string& out, const http::ResponseHead& response);

// A plain answer of our own.
void append_local_response(std::string& out, int status, std::string_view why, std::string_view method,
                           bool keep_alive);

// Asks for another protocol: GET without body, HTTP/1.1, "Connection: upgrade" and an Upgrade header.
bool wants_upgrade(const http::RequestHead& request, const http::Framing& framing);

}  // namespace weft::alb
