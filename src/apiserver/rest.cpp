#include "apiserver/rest.h"

namespace weft::apiserver {

// Header text: quotes and backslashes escaped, control characters cannot stand in it (API-90: 4 KiB in total).
void Rest::add_warning_headers(Reply& reply) const {
    constexpr size_t bytes_max = 4096;
    size_t bytes = 0;
    std::vector<std::string> told = warnings_;  // each once
    if (!kind_.deprecation.empty()) told.insert(told.begin(), kind_.deprecation);
    for (auto at = told.begin(); at != told.end(); ++at) {
        const std::string& warning = *at;
        if (std::find(told.begin(), at, warning) != at) continue;
        std::string line = "299 - \"";
        for (const char c : warning) {
            if (c == '"' || c == '\\') line += '\\';
            line += uint8_t(c) < 0x20 || c == 0x7f ? ' ' : c;
        }
        line += '"';
        bytes += line.size();
        if (bytes > bytes_max) return;
        reply.headers.emplace_back("Warning", std::move(line));
    }
}

Outcome<Reply> Rest::answer() {
    Reply reply = TRY(answer_verb());
    add_warning_headers(reply);
    return reply;
}

Outcome<Reply> Rest::answer_verb() {
    switch (target_.verb) {
        case Verb::get: return get();
        case Verb::list: return list();
        case Verb::watch: return watch();
        case Verb::create: return create();
        case Verb::update: return update();
        case Verb::patch: return patch();
        case Verb::remove: return remove();
        case Verb::remove_collection: return remove_collection();
        case Verb::connect: return connect();
    }
    return method_not_allowed(kind_, call_.method);
}

}  // namespace weft::apiserver
