// Exchange: one request and its response, from the first byte of the head to the last byte of the answer (phases.h).
//
// advance() does what is possible now and says how it stands. One route table from start to end. A request goes to
// another endpoint only if nothing of it was sent, or it is idempotent and nothing of the response came; a body that
// has begun to flow is never sent again. Threads: its hand's.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "alb/downstream.h"
#include "alb/forward.h"
#include "alb/phases.h"
#include "alb/relay.h"
#include "alb/route.h"
#include "alb/upstream.h"
#include "http/h1.h"

namespace weft::alb {

class Exchange final : public UpstreamUser {
public:
    enum class Verdict : uint8_t {
        waiting,  // for an event
        keep,     // over; the client's connection stays
        close,    // over; close it when the client has the answer
        abort,    // close it now, hard
    };

    Exchange(Hand& hand, Downstream& downstream);
    ~Exchange();

    Verdict advance();
    void upstream_ready() override;

private:
    enum class Step : uint8_t { next, wait, keep, close, abort };

    Step receive();
    Step route();
    Step choose();
    Step connect();
    Step send();
    Step relay();
    Step finish();

    Step connect_failed(int status, std::string why);
    Step upstream_lost();
    Step respond();
    Step interim();
    Step answer(int status, std::string why);
    Step client_gone();
    Step resume_soon();
    bool relay_once(bool& moved, Step& over);
    Step enter(Phase phase);
    void watch_stall(Duration timeout);
    void keep_or_drop_upstream();
    void record(int status);

    Hand& hand_;
    Downstream& down_;
    io::Timer timer_;
    bool timed_out_ = false;
    bool resuming_ = false;  // the timer only gives others their turn

    Phase phase_ = Phase::receive;
    MonotonicTime phase_began_, began_;
    PhaseTimes times_{};

    http::RequestParser request_parser_;
    http::RequestHead request_;
    http::BodyReader request_body_;
    std::string_view host_, path_, target_;  // views into request_, or of
    std::string origin_form_;
    bool is_parsed_ = false;

    std::shared_ptr<const RouteTable> table_;
    uint32_t group_ = no_group;
    io::SocketAddress endpoint_;
    std::vector<io::SocketAddress> tried_;
    unsigned attempts_ = 0;

    std::unique_ptr<Upstream> up_;
    bool head_sent_ = false;
    bool body_forwarded_ = false;  // some of it went up: no second try
    bool avoid_pool_ = false;      // a kept connection just proved stale
    uint64_t sent_before_ = 0;     // bytes that up_ had sent for earlier requests

    http::ResponseParser response_parser_;
    http::ResponseHead response_;
    http::BodyReader response_body_;
    ResponsePlan plan_;
    bool response_begun_ = false;  // the client has something of it
    bool upload_over_ = false;     // the rest of the request body is not wanted or not there
    bool tunnel_ = false;
    bool local_answer_ = false;
    bool recorded_ = false;
    int status_ = 0;
    std::string why_;  // of an answer of our own
    uint64_t down_sent_before_;
};

}  // namespace weft::alb
