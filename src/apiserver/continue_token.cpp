#include "apiserver/continue_token.h"

#include "base/strings.h"

namespace weft::apiserver {

// '+' and '/' of base64 would need escaping in a query string, and an unescaped '+' is a space there.
std::string ContinueToken::encode() const {
    std::string text = base64_encode(json::serialize(json::Object{{"rv", revision}, {"start", last_key}}));
    for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
    while (text.ends_with('=')) text.pop_back();
    return text;
}

Outcome<ContinueToken> ContinueToken::decode(std::string_view text, std::string_view prefix) {
    std::string standard(text);
    for (char& c : standard) c = c == '-' ? '+' : c == '_' ? '/' : c;
    while (standard.size() % 4 != 0) standard += '=';
    const auto bytes = base64_decode(standard);
    const auto value = bytes ? json::parse(*bytes) : Result<json::Value>(fail(Code::invalid, "not base64"));
    if (!value) return refuse(400, "BadRequest", "continue key is not valid: " + value.error().message);
    const json::Value* revision = json::find(*value, {"rv"});
    ContinueToken token{json::find_int(*value, {"rv"}, -1), std::string(json::find_string(*value, {"start"}))};
    if (revision == nullptr || token.revision < 0 || !std::string_view(token.last_key).starts_with(prefix))
        return refuse(400, "BadRequest", "continue key is not valid: it belongs to another list");
    return token;
}

}  // namespace weft::apiserver
