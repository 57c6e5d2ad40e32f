#include "dns/respond.h"

#include <map>
#include <tuple>

#include "base/metrics.h"

namespace weft::dns {

using dns_wire::Class;
using dns_wire::Message;
using dns_wire::Question;
using dns_wire::Rcode;
using dns_wire::Type;

namespace {

Response reply_with(Message message, size_t bytes_max, std::string_view stage) {
    return {Response::Kind::reply, std::move(message), bytes_max, stage, {}, 0};
}

bool serves(const Question& question) {
    const bool transfer = question.type == Type::axfr || question.type == Type::ixfr;
    return !transfer && (question.cls == Class::in || question.cls == Class::any);
}

// Looking a counter up takes a lock; each hand remembers its own. Stages' names live for ever, so their addresses tell
// them apart.
metrics::Counter& response_counter(Transport transport, std::string_view stage, Rcode rcode) {
    static thread_local std::map<std::tuple<Transport, const char*, Rcode>, metrics::Counter*> known;
    metrics::Counter*& counter = known[{transport, stage.data(), rcode}];
    if (counter == nullptr) {
        const metrics::LabelSet labels{{"transport", transport == Transport::tcp ? "tcp" : "udp"},
                                       {"stage", std::string(stage)},
                                       {"rcode", std::string(dns_wire::rcode_text(rcode))}};
        counter = &metrics::counter("weft_dns_responses_total", labels, "responses sent");
    }
    return *counter;
}

}  // namespace

Response respond(std::span<const uint8_t> bytes, Transport transport, const Snapshot& snapshot, uint32_t vni,
                 const Settings& settings, Rng& rng) {
    const Result<dns_wire::Query> query = dns_wire::decode_query(bytes);
    if (!query) return {};
    Message message = dns_wire::response_to(query->message);
    message.recursion_available = settings.forwarding;
    const size_t room =
        transport == Transport::tcp ? dns_wire::message_bytes_max : dns_wire::udp_bytes_for(query->message);
    message.rcode = query->problem;
    if (message.rcode != Rcode::no_error) return reply_with(std::move(message), room, "wire");

    const Question& question = query->message.questions.front();
    if (!serves(question)) {
        message.rcode = Rcode::refused;
        return reply_with(std::move(message), room, "wire");
    }
    Answered answered = walk({question, snapshot, snapshot.view(vni), settings, rng});
    message.rcode = answered.answer.rcode;
    message.authoritative = answered.answer.authoritative;
    message.answers = std::move(answered.answer.answers);
    message.authorities = std::move(answered.answer.authorities);
    message.additionals = std::move(answered.answer.additionals);
    Response response = reply_with(std::move(message), room, answered.stage);
    if (answered.verdict == Verdict::forward) {
        response.kind = Response::Kind::forward;
        response.upstream = std::move(answered.answer.upstream);
    }
    return response;
}

void complete(Response& response, const Result<Message>& upstream) {
    response.kind = Response::Kind::reply;
    Message& message = response.message;
    message.authoritative = false;
    if (!upstream) {
        message.answers.clear();
        message.rcode = Rcode::serv_fail;
        if (message.edns)
            message.edns->extended_error = upstream.error().code == Code::timeout
                                               ? dns_wire::ExtendedError::no_reachable_authority
                                               : dns_wire::ExtendedError::network_error;
        return;
    }
    message.rcode = upstream->rcode;
    message.authentic_data = upstream->authentic_data && message.answers.empty();
    for (const dns_wire::Record& record : upstream->answers) {
        message.answers.push_back(record);
        if (record.name == response.upstream.name) message.answers.back().name = response.upstream.name;
    }
    message.authorities = upstream->authorities;
    message.additionals = upstream->additionals;
}

std::vector<uint8_t> finish(const Response& response, Transport transport) {
    response_counter(transport, response.stage, response.message.rcode).add();
    return dns_wire::encode(response.message, response.bytes_max);
}

}  // namespace weft::dns
