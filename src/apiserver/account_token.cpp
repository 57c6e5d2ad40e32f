#include "apiserver/account_token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "base/fd.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/strings.h"

namespace weft::apiserver {
namespace {

constexpr size_t key_bytes = 32;
constexpr std::string_view header = R"({"alg":"HS256","typ":"JWT"})";

std::string url_encode(std::string_view bytes) {
    std::string text = base64_encode(bytes);
    while (text.ends_with('=')) text.pop_back();
    std::replace(text.begin(), text.end(), '+', '-');
    std::replace(text.begin(), text.end(), '/', '_');
    return text;
}

std::optional<std::string> url_decode(std::string_view text) {
    std::string standard(text);
    std::replace(standard.begin(), standard.end(), '-', '+');
    std::replace(standard.begin(), standard.end(), '_', '/');
    while (standard.size() % 4 != 0) standard += '=';
    return base64_decode(standard);
}

std::string signature(std::string_view signed_part, std::string_view key) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    HMAC(EVP_sha256(), key.data(), int(key.size()), reinterpret_cast<const unsigned char*>(signed_part.data()),
         signed_part.size(), digest, &size);
    return url_encode({reinterpret_cast<const char*>(digest), size});
}

}  // namespace

Result<std::string> account_key(const Instance& instance, bool make) {
    const std::string path = instance.state_dir() + "/account.key";
    auto found = read_file(path);
    if (found && trim(*found).size() >= key_bytes) return std::string(trim(*found));
    if (!found && found.error().code != Code::not_found) return fail(found.error());
    if (!make) return fail(Code::not_found, "no account token was ever given");
    std::string key = random_hex(key_bytes);
    TRY(make_directories(instance.state_dir(), 0700));
    TRY(write_file(path, key + "\n", 0600));
    return key;
}

std::string sign_claims(const AccountClaims& claims, std::string_view key) {
    json::Object bound{{"namespace", claims.ns},
                       {"serviceaccount", json::Object{{"name", claims.account}, {"uid", claims.account_uid}}}};
    if (!claims.pod.empty()) bound["pod"] = json::Object{{"name", claims.pod}, {"uid", claims.pod_uid}};
    json::Array audiences;
    for (const std::string& audience : claims.audiences) audiences.push_back(json::Value(audience));
    const json::Value body = json::Object{{"aud", std::move(audiences)},
                                          {"exp", claims.expires_s},
                                          {"iat", claims.issued_s},
                                          {"iss", account_issuer},
                                          {"kubernetes.io", std::move(bound)},
                                          {"nbf", claims.issued_s},
                                          {"sub", claims.user()}};
    const std::string signed_part = url_encode(header) + "." + url_encode(json::serialize(body));
    return signed_part + "." + signature(signed_part, key);
}

std::optional<AccountClaims> verify_token(std::string_view token, std::string_view key, WallTime now) {
    if (token.size() > token_bytes_max) return std::nullopt;
    const size_t last_dot = token.rfind('.');
    const size_t first_dot = token.find('.');
    if (first_dot == std::string_view::npos || first_dot == last_dot) return std::nullopt;
    const std::string expected = signature(token.substr(0, last_dot), key);
    const std::string_view given = token.substr(last_dot + 1);
    if (given.size() != expected.size() || CRYPTO_memcmp(given.data(), expected.data(), given.size()) != 0)
        return std::nullopt;
    // Signed by us: what follows only reads what we wrote.
    if (url_decode(token.substr(0, first_dot)) != header) return std::nullopt;
    const auto text = url_decode(token.substr(first_dot + 1, last_dot - first_dot - 1));
    const auto body = text ? json::parse(*text) : Result<json::Value>(fail(Code::invalid, ""));
    if (!body || json::find_string(*body, {"iss"}) != account_issuer) return std::nullopt;
    AccountClaims claims;
    claims.ns = json::find_string(*body, {"kubernetes.io", "namespace"});
    claims.account = json::find_string(*body, {"kubernetes.io", "serviceaccount", "name"});
    claims.account_uid = json::find_string(*body, {"kubernetes.io", "serviceaccount", "uid"});
    claims.pod = json::find_string(*body, {"kubernetes.io", "pod", "name"});
    claims.pod_uid = json::find_string(*body, {"kubernetes.io", "pod", "uid"});
    claims.audiences = json::find_strings(*body, {"aud"});
    claims.issued_s = json::find_int(*body, {"iat"});
    claims.expires_s = json::find_int(*body, {"exp"});
    const int64_t now_s = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
    if (claims.account.empty() || claims.expires_s <= now_s) return std::nullopt;
    return claims;
}

}  // namespace weft::apiserver
