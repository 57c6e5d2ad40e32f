// Certificates: Secrets of type kubernetes.io/tls as TLS contexts, each made once however often the configuration is
// compiled; and the self-signed one for whom there is none. Errors name the key of the Secret (tls.crt, tls.key).
// Threads: the brain's; the contexts may be used by any. Source: spec/kubernetes.md ING-26.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "io/tls.h"
#include "kube/object.h"

namespace weft::ingress {

class Certificates {
public:
    static Result<Certificates> create();

    Result<std::shared_ptr<io::TlsContext>> of(const kube::Object& secret);
    const std::shared_ptr<io::TlsContext>& default_context() const { return default_; }
    // Those that nobody asked for since the last call.
    void forget_unused();

private:
    struct Known {
        Result<std::shared_ptr<io::TlsContext>> context;
        bool used = true;
    };
    explicit Certificates(std::shared_ptr<io::TlsContext> otherwise) : default_(std::move(otherwise)) {}

    std::shared_ptr<io::TlsContext> default_;
    std::map<std::pair<std::string, std::string>, Known> known_;  // (tls.crt, tls.key) as the Secret holds them
};

}  // namespace weft::ingress
