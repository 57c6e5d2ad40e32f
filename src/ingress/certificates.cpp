#include "ingress/certificates.h"

#include "base/strings.h"

namespace weft::ingress {

static Result<std::shared_ptr<io::TlsContext>> context_of(const std::string& certificate, const std::string& key) {
    const auto certificate_pem = base64_decode(certificate);
    if (certificate.empty() || !certificate_pem) return fail(Code::invalid, "tls.crt is missing or not base64");
    const auto key_pem = base64_decode(key);
    if (key.empty() || !key_pem) return fail(Code::invalid, "tls.key is missing or not base64");
    return io::TlsContext::server(*certificate_pem, *key_pem);
}

Result<Certificates> Certificates::create() {
    const auto pair = TRY(io::self_signed("weft default certificate"));
    return Certificates(TRY(io::TlsContext::server(pair.certificate_pem, pair.key_pem)));
}

Result<std::shared_ptr<io::TlsContext>> Certificates::of(const kube::Object& secret) {
    std::pair pem{std::string(secret.string({"data", "tls.crt"})), std::string(secret.string({"data", "tls.key"}))};
    if (const auto found = known_.find(pem); found != known_.end()) {
        found->second.used = true;
        return found->second.context;
    }
    auto made = context_of(pem.first, pem.second);
    known_.emplace(std::move(pem), Known{made});
    return made;
}

void Certificates::forget_unused() {
    for (auto it = known_.begin(); it != known_.end();) it = std::exchange(it->second.used, false) ? std::next(it) : known_.erase(it);
}

}  // namespace weft::ingress
