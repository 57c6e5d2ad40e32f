// The story of a request: receive → route → choose → connect → send → relay → finish. Each phase is one function that
// either enters another one, waits for an event, or ends the exchange. Events only say "look again": advance() runs the
// phase that the exchange is in. relay.h moves bytes, forward.h writes heads, upstream.h keeps connections, route.h
// knows the way.
#include "alb/exchange.h"

#include <algorithm>

#include "alb/access_log.h"
#include "alb/hand.h"
#include "alb/limits.h"
#include "http/url.h"

namespace weft::alb {

namespace {

// Of both directions. A head must fit the buffer that it is parsed in, or it would be waited for in vain.
constexpr http::Limits head_limits{.head_bytes_max = 32 * 1024};
static_assert(head_limits.head_bytes_max < buffer_high_bytes);

// What a client is told: names and addresses behind the proxy are for the log only.
std::string_view told_to_client(int status, std::string_view why) {
    switch (status) {
        case 502: return "the backend gave no valid answer";
        case 503: return "no backend is available";
        case 504: return "the backend did not answer in time";
        default: return why;
    }
}

}  // namespace

Exchange::Exchange(Hand& hand, Downstream& downstream)
    : hand_(hand),
      down_(downstream),
      timer_(
          [](void* self) {
              auto& exchange = *static_cast<Exchange*>(self);
              if (exchange.resuming_) {
                  exchange.resuming_ = false;
                  exchange.watch_stall(exchange.hand_.timeouts().stall);
              } else {
                  exchange.timed_out_ = true;
              }
              exchange.down_.advance();
          },
          this),
      began_(system_clock().now()),
      request_parser_(head_limits),
      response_parser_(head_limits),
      down_sent_before_(downstream.peer.bytes_sent()) {
    phase_began_ = began_;
    timer_.arm(hand_.loop(), hand_.timeouts().head);
}

Exchange::~Exchange() = default;

void Exchange::upstream_ready() { down_.advance(); }

Exchange::Verdict Exchange::advance() {
    for (;;) {
        Step step = Step::wait;
        switch (phase_) {
            case Phase::receive: step = receive(); break;
            case Phase::route: step = route(); break;
            case Phase::choose: step = choose(); break;
            case Phase::connect: step = connect(); break;
            case Phase::send: step = send(); break;
            case Phase::relay: step = relay(); break;
            case Phase::finish: step = finish(); break;
        }
        switch (step) {
            case Step::next: continue;
            case Step::wait: return Verdict::waiting;
            case Step::keep: return Verdict::keep;
            case Step::close: return Verdict::close;
            case Step::abort: return Verdict::abort;
        }
    }
}

Exchange::Step Exchange::receive() {
    Peer& down = down_.peer;
    for (;;) {
        switch (request_parser_.parse(down.in.view(), request_)) {
            case http::Progress::done:
                down.in.consume(request_parser_.consumed());
                request_body_.start(request_parser_.framing(), head_limits);
                is_parsed_ = true;
                return enter(Phase::route);
            case http::Progress::rejected:
                return answer(request_parser_.rejection().status, request_parser_.rejection().why);
            case http::Progress::need_more: break;
        }
        if (down.fill() && !down.ended() && !down.failed()) continue;
        if (down.ended() || down.failed()) return Step::close;
        if (timed_out_) return answer(408, "the request head took too long");
        return Step::wait;
    }
}

Exchange::Step Exchange::route() {
    const auto target = http::split_target(request_.target);
    ENSURE(target.has_value());  // the parser has checked it
    host_ = target->authority.empty() ? request_.headers.get("Host") : target->authority;
    path_ = target->path;
    target_ = request_.target;
    if (!target->authority.empty()) {  // the origin form goes up; "http://host?q" means "/?q"
        const size_t rest = size_t(target->authority.data() - request_.target.data()) + target->authority.size();
        target_.remove_prefix(rest);
        if (!target_.starts_with('/')) target_ = origin_form_ = "/" + std::string(target_);
    }
    table_ = hand_.routes();
    group_ = table_->route(down_.arrived_at.vni, {down_.arrived_at.address, down_.arrived_at.port}, host_, path_);
    if (group_ == no_group) return answer(404, "no Ingress rule matches this host and path");
    return enter(Phase::choose);
}

Exchange::Step Exchange::choose() {
    const BackendGroup& group = table_->group(group_);
    const auto& all = group.endpoints;
    if (all.empty()) return answer(503, group.why_empty.empty() ? "no endpoint is ready" : group.why_empty);
    ++attempts_;
    const auto was_tried = [&](const io::SocketAddress& one) {
        return std::find(tried_.begin(), tried_.end(), one) != tried_.end();
    };
    // In turn, but past those that failed lately; an endpoint that failed for this request only when all have.
    const size_t first = hand_.round_robin().next(group_, all.size());
    size_t best = first;
    int best_rank = 3;
    for (size_t i = 0; i < all.size() && best_rank > 0; ++i) {
        const size_t at = (first + i) % all.size();
        const int rank = was_tried(all[at]) ? 2 : hand_.is_resting({down_.arrived_at.vni, all[at]}) ? 1 : 0;
        if (rank < best_rank) {
            best = at;
            best_rank = rank;
        }
    }
    endpoint_ = all[best];
    return enter(Phase::connect);
}

Exchange::Step Exchange::connect() {
    if (!up_) {
        const UpstreamKey key{down_.arrived_at.vni, endpoint_};
        if (!avoid_pool_) up_ = hand_.pool().take(key, !http::is_idempotent(request_.method));
        if (up_) {
            up_->user = this;
        } else {
            timed_out_ = false;
            timer_.arm(hand_.loop(), hand_.timeouts().connect);
            auto opened = hand_.pool().open(key, *this);
            if (!opened) return connect_failed(502, opened.error().message);
            up_ = std::move(*opened);
        }
    }
    if (!up_->connected) {
        if (!up_->writable_seen) {
            if (down_.peer.gone()) return client_gone();
            if (timed_out_) return connect_failed(504, "the backend did not take the connection in time");
            return Step::wait;
        }
        if (const auto outcome = io::connect_outcome(up_->peer.fd()); !outcome)
            return connect_failed(502, outcome.error().message);
        up_->connected = true;
    }
    return enter(Phase::send);
}

Exchange::Step Exchange::connect_failed(int status, std::string why) {
    hand_.let_rest({down_.arrived_at.vni, endpoint_});
    tried_.push_back(endpoint_);
    up_.reset();
    if (attempts_ >= connect_attempts_max) return answer(status, "backend: " + why);
    hand_.metrics().retries.add();
    return enter(Phase::choose);
}

Exchange::Step Exchange::send() {
    Peer& up = up_->peer;
    Peer& down = down_.peer;
    if (!head_sent_) {
        head_sent_ = true;
        sent_before_ = up.bytes_sent();
        const std::string client = down_.client.address.text(), port = std::to_string(down_.arrived_at.port);
        const std::string local = {io::SocketAddress{down_.arrived_at.address, down_.arrived_at.port}.text()};
        std::string head;
        append_upstream_request(head, request_, request_parser_.framing(),
                                {.client = client,
                                 .host = host_.empty() ? std::string_view(local) : host_,
                                 .target = target_,
                                 .port = port,
                                 .upgrade = wants_upgrade(request_, request_parser_.framing()),
                                 .tls = down.tls() != nullptr});
        up.write(head);
        watch_stall(hand_.timeouts().stall);
    }
    const bool chunked = request_parser_.framing().kind == http::Framing::Kind::chunked;
    for (unsigned round = 0; round < relay_rounds_per_turn; ++round) {
        bool moved = false;
        switch (relay_body(request_body_, down, up, chunked, moved)) {
            case BodyState::malformed: return answer(request_body_.rejection().status, request_body_.rejection().why);
            case BodyState::truncated: return client_gone();
            case BodyState::moving:
            case BodyState::done: break;
        }
        body_forwarded_ |= moved;
        moved |= up.flush();
        switch (response_parser_.parse(up.in.view(), request_.method, response_)) {
            case http::Progress::done:
                up.in.consume(response_parser_.consumed());
                if (response_.status >= 200) return respond();
                if (const Step step = interim(); step != Step::wait) return step;
                continue;
            case http::Progress::rejected:
                return answer(502, "the backend's answer is not HTTP: " + response_parser_.rejection().why);
            case http::Progress::need_more: break;
        }
        if (up.ended() || up.failed()) return upstream_lost();
        moved |= up.fill();
        if (moved) {
            watch_stall(hand_.timeouts().stall);
            continue;
        }
        if (down.gone()) return client_gone();
        if (!timed_out_) return Step::wait;
        return request_body_.done() ? answer(504, "the backend did not answer in time")
                                    : answer(408, "the request body took too long");
    }
    return resume_soon();
}

// The connection to the backend broke before its answer was whole.
Exchange::Step Exchange::upstream_lost() {
    const bool nothing_sent = up_->peer.bytes_sent() == sent_before_;
    const bool nothing_came = up_->peer.in.empty() && !response_begun_;
    const bool may_retry = nothing_came && !body_forwarded_ && (nothing_sent || http::is_idempotent(request_.method));
    const bool was_stale = up_->reused;
    if (!may_retry || attempts_ >= connect_attempts_max)
        return answer(502, "the backend closed the connection without an answer");
    if (was_stale) {
        avoid_pool_ = true;
    } else {
        hand_.let_rest({down_.arrived_at.vni, endpoint_});
        tried_.push_back(endpoint_);
    }
    up_.reset();
    head_sent_ = false;
    response_parser_.reset();
    response_.clear();
    hand_.metrics().retries.add();
    return enter(Phase::choose);
}

// 1xx. 101 turns the connection into a tunnel, but only if the client asked for it.
Exchange::Step Exchange::interim() {
    const bool switched = response_.status == 101;
    if (switched && !wants_upgrade(request_, request_parser_.framing())) {
        return answer(502, "the backend switched protocols unasked");
    }
    if (request_.version == http::Version::http_1_1) {
        std::string head;
        append_interim_response(head, response_);
        down_.peer.write(head);
        down_.peer.flush();
        response_begun_ = true;
    }
    if (switched) {
        status_ = 101;
        tunnel_ = true;
        watch_stall(hand_.timeouts().tunnel_idle);
        return enter(Phase::relay);
    }
    response_parser_.reset();
    response_.clear();
    return Step::wait;
}

Exchange::Step Exchange::respond() {
    const auto& framing = response_parser_.framing();
    response_body_.start(framing);
    status_ = response_.status;
    // An answer that ends the upload ends the connection too: what the client still sends is not a request.
    const bool is_early = response_.status >= 400 && !request_body_.done();
    plan_ = plan_response(framing, request_.version,
                          http::wants_keep_alive(request_.version, request_.headers) && !hand_.draining() && !is_early);
    std::string head;
    append_downstream_response(head, response_, framing, plan_, request_.version);
    down_.peer.write(head);
    response_begun_ = true;
    return enter(Phase::relay);
}

Exchange::Step Exchange::relay() {
    for (unsigned round = 0; round < relay_rounds_per_turn; ++round) {
        bool moved = false;
        Step over = Step::wait;
        if (relay_once(moved, over)) return over;
        if (!moved) {
            return timed_out_ ? client_gone() : Step::wait;
        }
        const bool half_closed = down_.peer.writing_finished() || up_->peer.writing_finished();
        watch_stall(tunnel_ && !half_closed ? hand_.timeouts().tunnel_idle : hand_.timeouts().stall);
    }
    return resume_soon();
}

// Others of this hand first; then on from here.
Exchange::Step Exchange::resume_soon() {
    resuming_ = true;
    timer_.arm(hand_.loop(), Duration(1));
    return Step::wait;
}

// True when relaying is over, with what comes next in `over`.
bool Exchange::relay_once(bool& moved, Step& over) {
    Peer& up = up_->peer;
    Peer& down = down_.peer;
    const auto ends = [&](Step step) {
        over = step;
        return true;
    };
    if (tunnel_) {
        moved |= relay_raw(down, up);
        moved |= relay_raw(up, down);
        const bool both_ended = up.writing_finished() && down.writing_finished();
        const bool broken =
            up.failed() || (down.gone() && down.in.empty()) || (up.gone() && up.ended() && down.drained());
        return both_ended || broken ? ends(enter(Phase::finish)) : false;
    }
    if (!upload_over_) {
        const bool chunked = request_parser_.framing().kind == http::Framing::Kind::chunked;
        const auto state = up.gone() ? BodyState::truncated : relay_body(request_body_, down, up, chunked, moved);
        upload_over_ = state != BodyState::moving;
    }
    moved |= up.flush();
    const auto state = relay_body(response_body_, up, down, plan_.chunked, moved);
    moved |= down.flush();
    if (state == BodyState::done) return ends(enter(Phase::finish));
    if (down.gone()) return ends(client_gone());
    if (state == BodyState::moving) return false;
    // What the client has cannot be taken back: it must see that the answer is not whole.
    why_ = "the backend's answer broke off";
    record(status_);
    return ends(Step::abort);
}

Exchange::Step Exchange::finish() {
    Peer& down = down_.peer;
    if (down.flush()) watch_stall(hand_.timeouts().stall);
    if (!down.drained()) {
        if (down.gone() || timed_out_) return client_gone();
        return Step::wait;
    }
    keep_or_drop_upstream();
    record(status_);
    if (tunnel_ || !plan_.keep_alive || !request_body_.done() || down.ended() || hand_.draining()) return Step::close;
    return Step::keep;
}

void Exchange::keep_or_drop_upstream() {
    if (!up_) return;
    const Peer& up = up_->peer;
    const bool reusable = !local_answer_ && !tunnel_ && response_body_.done() && request_body_.done() && up.drained() &&
                          response_body_.framing().kind != http::Framing::Kind::until_close && up.in.empty() &&
                          !up.ended() && !up.gone() && http::wants_keep_alive(response_.version, response_.headers) &&
                          !hand_.draining();
    if (reusable) hand_.pool().give_back(std::move(up_));
    up_.reset();
}

// An answer of our own instead of the backend's; once the client has something of that one, all we can do is break off.
Exchange::Step Exchange::answer(int status, std::string why) {
    why_ = std::move(why);
    if (response_begun_ && status_ != 0) {
        record(status_);
        return Step::abort;
    }
    up_.reset();
    local_answer_ = true;
    status_ = status;
    plan_.keep_alive = is_parsed_ && request_body_.done() &&
                       http::wants_keep_alive(request_.version, request_.headers) &&
                       request_.version == http::Version::http_1_1 && !hand_.draining();
    std::string text;
    append_local_response(text, status, told_to_client(status, why_), request_.method, plan_.keep_alive);
    down_.peer.write(text);
    watch_stall(hand_.timeouts().stall);
    return enter(Phase::finish);
}

Exchange::Step Exchange::client_gone() {
    if (why_.empty()) why_ = timed_out_ ? "nothing moved in time" : "the client went away";
    hand_.metrics().aborted.add();
    record(status_);
    return Step::abort;
}

void Exchange::watch_stall(Duration timeout) {
    timed_out_ = false;
    timer_.arm(hand_.loop(), timeout);
}

Exchange::Step Exchange::enter(Phase phase) {
    const MonotonicTime now = system_clock().now();
    times_[size_t(phase_)] += now - phase_began_;
    phase_ = phase;
    phase_began_ = now;
    return Step::next;
}

void Exchange::record(int status) {
    if (recorded_) return;
    recorded_ = true;
    times_[size_t(phase_)] += system_clock().now() - phase_began_;
    auto& metrics = hand_.metrics();
    metrics.requests_by_class[status >= 100 && status < 600 ? size_t(status / 100) : 0]->add();
    for (size_t i = 0; i < phase_count; ++i) {
        metrics.phase_microseconds[i]->add(uint64_t(times_[i] / std::chrono::microseconds(1)));
    }
    write_access_log({.client = down_.client.address.text(),
                      .vni = down_.arrived_at.vni,
                      .method = request_.method,
                      .host = host_,
                      .path = path_,
                      .status = status,
                      .group = group_ != no_group ? table_->group(group_).name : std::string(),
                      .endpoint = endpoint_.port != 0 ? endpoint_.text() : std::string(),
                      .attempts = attempts_,
                      .bytes = down_.peer.bytes_sent() - down_sent_before_,
                      .why = why_,
                      .times = times_});
}

}  // namespace weft::alb
