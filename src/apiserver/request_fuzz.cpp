// Fuzz: what a client may send before anything is trusted: path and query decoding, selectors, Accept, continue tokens,
// and bodies as JSON or YAML through decode, defaults and validation of a kind. Input: lines "METHOD PATH?QUERY",
// "Accept", "Content-Type", then the body. Nothing may crash, hang or throw.
#include "apiserver/continue_token.h"
#include "apiserver/defaults.h"
#include "apiserver/negotiate.h"
#include "apiserver/patch.h"
#include "apiserver/schema.h"
#include "apiserver/selector.h"
#include "apiserver/target.h"
#include "apiserver/validate.h"

using namespace weft;
using namespace weft::apiserver;

static std::string_view take_line(std::string_view& rest) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return line;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const auto table = KindTable::builtin();
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    std::string_view line = take_line(rest);
    const std::string_view method = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(method.size() + 1, line.size()));
    const size_t mark = std::min(line.find('?'), line.size());
    auto call = Call::parse(method, line.substr(0, mark), line.substr(std::min(mark + 1, line.size())));
    if (!call) return 0;
    call->accept = take_line(rest);
    call->content_type = take_line(rest);
    call->body = rest;
    (void)negotiate(*call, {Shape::table, Shape::partial, Shape::discovery});
    const auto target = find_target(table, *call);
    if (!target || !*target) return 0;
    const Kind& kind = *(*target)->kind;
    if (const auto selector = Selector::parse(kind, call->query.get("labelSelector"), call->query.get("fieldSelector")))
        (void)selector->matches(json::Object{{"metadata", json::Object{{"labels", json::Object{{"a", "b"}}}}}});
    (void)ContinueToken::decode(call->query.get("continue"), "core/pods/");
    std::vector<std::string> duplicates, strict;
    auto body = decode_body(*call, &duplicates);
    if (!body) return 0;
    if (const auto type = patch_type(kind, call->content_type)) {
        json::Value current = json::Object{{"apiVersion", kind.api_version()},
                                           {"kind", kind.kind_name},
                                           {"metadata", json::Object{{"name", "a"}, {"namespace", "default"}}}};
        (void)apply_patch(kind, *type, current, *body);
    }
    if (!decode(kind, *body, duplicates, strict)) return 0;
    apply_defaults(kind, *body);
    prepare_create(kind, *body);
    (void)validate_create(kind, *body);
    return 0;
}
