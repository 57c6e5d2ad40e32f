// CertificateKeeper: the server's certificate names the address at which each VPC reaches `kubernetes.default`, so a new
// VPC means a new certificate (of the same CA); connections made from then on are shown it.
//
// Shapes: VPC objects in the store → addresses → certificate → the context that tls() gives, which stays the same.
// Threads: one of its own; tls() from any. Source: design.md §2, §5.1.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/instance.h"
#include "io/tls.h"
#include "store/log.h"

namespace weft::apiserver {

// A server's context whose certificate can be exchanged under way.
class ChangingTls final : public io::TlsContext {
public:
    explicit ChangingTls(std::shared_ptr<io::TlsContext> first) : current_(std::move(first)) {}

    void set(std::shared_ptr<io::TlsContext> next);
    Result<std::unique_ptr<io::Stream>> accept(Fd fd, Duration handshake_timeout) override;
    Result<std::unique_ptr<io::Stream>> connect(Fd fd, const std::string& server_name,
                                                Duration handshake_timeout) override;
    Result<std::unique_ptr<io::TlsSession>> session(int fd) override;

private:
    std::shared_ptr<io::TlsContext> current() const;

    mutable std::mutex mutex_;
    std::shared_ptr<io::TlsContext> current_;
};

class CertificateKeeper {
public:
    // `log` must outlive it.
    static Result<std::unique_ptr<CertificateKeeper>> open(const Instance& instance, store::Log& log);

    std::shared_ptr<io::TlsContext> tls() const { return tls_; }
    const std::string& ca_pem() const { return ca_pem_; }

private:
    CertificateKeeper(Instance instance, store::Log& log) : instance_(std::move(instance)), log_(log) {}

    Status renew();
    void attend(std::stop_token stop);

    const Instance instance_;
    store::Log& log_;
    std::string ca_pem_;
    std::string shown_;  // the certificate that tls_ has
    store::Revision seen_ = 0;
    std::shared_ptr<ChangingTls> tls_;
    std::jthread thread_;
};

// The `kubernetes.default` addresses of VPC objects as they are stored, sorted.
std::vector<std::string> kubernetes_addresses(const std::vector<store::Entry>& vpcs);

}  // namespace weft::apiserver
