#include "alb/relay.h"

#include <array>
#include <charconv>

namespace weft::alb {

namespace {

void write_piece(Peer& to, std::string_view data, bool chunked) {
    if (!chunked) {
        to.write(data);
        return;
    }
    std::array<char, 20> size_line;
    char* end = std::to_chars(size_line.begin(), size_line.end() - 2, data.size(), 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    to.write({size_line.data(), size_t(end - size_line.data())});
    to.write(data);
    to.write("\r\n");
}

void write_end(Peer& to, const http::BodyReader& body, bool chunked) {
    if (!chunked) return;
    std::string last;
    http::append_last_chunk(last, body.trailers());
    to.write(last);
}

}  // namespace

BodyState relay_body(http::BodyReader& body, Peer& from, Peer& to, bool chunked, bool& moved) {
    while (!body.done()) {
        if (to.congested()) return BodyState::moving;
        const auto step = body.next(from.in.view());
        if (step.progress == http::Progress::rejected) return BodyState::malformed;
        if (!step.data.empty()) write_piece(to, step.data, chunked);
        from.in.consume(step.consumed);
        if (step.consumed > 0) moved = true;
        if (step.progress == http::Progress::done) {
            write_end(to, body, chunked);
            break;
        }
        if (step.consumed > 0) continue;
        if (from.ended()) {
            if (!body.end_of_stream()) return BodyState::truncated;
            write_end(to, body, chunked);
            moved = true;
            break;
        }
        if (from.failed()) return BodyState::truncated;
        if (!from.fill()) return BodyState::moving;
        moved = true;
    }
    return BodyState::done;
}

bool relay_raw(Peer& from, Peer& to) {
    bool moved = false;
    while (!to.congested() && !to.gone()) {
        if (!from.in.empty()) {
            to.write(from.in.view());
            from.in.consume(from.in.size());
            moved = true;
        } else if (!from.fill() || from.in.empty()) {
            break;
        }
    }
    moved |= to.flush();
    if (from.ended() && from.in.empty() && to.drained() && !to.writing_finished()) {
        to.finish_writing();
        moved = true;
    }
    return moved;
}

}  // namespace weft::alb
