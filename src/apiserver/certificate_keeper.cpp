#include "apiserver/certificate_keeper.h"

#include <algorithm>
#include <condition_variable>

#include "apiserver/certificate.h"
#include "apiserver/objects.h"
#include "base/json.h"
#include "base/log.h"
#include "cloud/vpc.h"
#include "kube/resource.h"

namespace weft::apiserver {

static constexpr Duration look_period = std::chrono::hours(1);  // a certificate also ends by itself
static constexpr Duration after_failure = std::chrono::seconds(1);

void ChangingTls::set(std::shared_ptr<io::TlsContext> next) {
    const std::lock_guard lock(mutex_);
    current_ = std::move(next);
}

std::shared_ptr<io::TlsContext> ChangingTls::current() const {
    const std::lock_guard lock(mutex_);
    return current_;
}

Result<std::unique_ptr<io::Stream>> ChangingTls::accept(Fd fd, Duration handshake_timeout) {
    return current()->accept(std::move(fd), handshake_timeout);
}

Result<std::unique_ptr<io::Stream>> ChangingTls::connect(Fd fd, const std::string& server_name,
                                                         Duration handshake_timeout) {
    return current()->connect(std::move(fd), server_name, handshake_timeout);
}

Result<std::unique_ptr<io::TlsSession>> ChangingTls::session(int fd) { return current()->session(fd); }

std::vector<std::string> kubernetes_addresses(const std::vector<store::Entry>& vpcs) {
    std::vector<std::string> addresses;
    for (const store::Entry& entry : vpcs) {
        const auto object = json::parse(entry.value);
        const auto vpc = object ? cloud::parse_vpc(*object) : Result<cloud::Vpc>(fail(object.error()));
        if (!vpc) continue;
        addresses.push_back(cloud::kubernetes_address(*vpc).text());
        if (const auto ipv6 = cloud::ipv6_kubernetes_address(*vpc)) addresses.push_back(ipv6->text());
    }
    std::sort(addresses.begin(), addresses.end());
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    return addresses;
}

Result<std::unique_ptr<CertificateKeeper>> CertificateKeeper::open(const Instance& instance, store::Log& log) {
    std::unique_ptr<CertificateKeeper> keeper(new CertificateKeeper(instance, log));
    TRY(keeper->renew());
    keeper->thread_ = std::jthread([it = keeper.get()](std::stop_token stop) { it->attend(stop); });
    return keeper;
}

Status CertificateKeeper::renew() {
    const store::RangeResult vpcs = TRY(log_.range(prefix_of(kube::vpcs)));
    const ServerCertificate certificate = TRY(open_certificate(instance_, kubernetes_addresses(vpcs.entries)));
    seen_ = vpcs.revision;
    if (ca_pem_.empty()) ca_pem_ = certificate.ca_pem;  // once: others read it
    if (certificate.certificate_pem == shown_) return {};
    auto context = TRY(io::TlsContext::server(certificate.certificate_pem, certificate.key_pem));
    if (tls_ == nullptr) tls_ = std::make_shared<ChangingTls>(std::move(context));
    else tls_->set(std::move(context));
    shown_ = certificate.certificate_pem;
    return {};
}

void CertificateKeeper::attend(std::stop_token stop) {
    const Clock& clock = system_clock();
    std::unique_ptr<store::Watch> watch;
    while (!stop.stop_requested()) {
        if (watch == nullptr) {
            auto opened = log_.watch(prefix_of(kube::vpcs), seen_);
            if (opened) watch = std::move(*opened);
            if (const Status renewed = renew(); !renewed)
                log::warning("certificate not renewed", {{"error", renewed.error().message}});
        }
        if (watch == nullptr) {
            std::mutex mutex;
            std::unique_lock lock(mutex);
            std::condition_variable_any never;
            never.wait_for(lock, stop, after_failure, [] { return false; });
            continue;
        }
        if (const auto batch = watch->next(clock.now() + look_period, stop); !batch) {
            watch.reset();
            continue;
        }
        if (stop.stop_requested()) return;
        if (const Status renewed = renew(); !renewed)
            log::warning("certificate not renewed", {{"error", renewed.error().message}});
    }
}

}  // namespace weft::apiserver
