#include "apiserver/certificate.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <memory>

#include "base/fd.h"
#include "base/log.h"

namespace weft::apiserver {

static constexpr int64_t day_s = 24 * 3600;
static constexpr int64_t ca_days = 3650, server_days = 365, renew_before_days = 30;
static constexpr const char* server_names =
    "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
    "DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:::1";

namespace {

template <auto Free>
struct Deleter {
    template <class T>
    void operator()(T* object) const {
        Free(object);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Deleter<X509_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;

std::unexpected<Error> ssl_fail(std::string_view doing) {
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return fail(Code::io, fmt::format("{}: {}", doing, text));
}

std::string bio_text(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return {data, size_t(size)};
}

Result<std::string> key_pem(EVP_PKEY* key) {
    const Bio bio(BIO_new(BIO_s_mem()));
    if (PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
        return ssl_fail("write key");
    return bio_text(bio.get());
}

Result<std::string> cert_pem(X509* cert) {
    const Bio bio(BIO_new(BIO_s_mem()));
    if (PEM_write_bio_X509(bio.get(), cert) != 1) return ssl_fail("write certificate");
    return bio_text(bio.get());
}

Key parse_key(const std::string& pem) {
    const Bio bio(BIO_new_mem_buf(pem.data(), int(pem.size())));
    return Key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}

Cert parse_cert(const std::string& pem) {
    const Bio bio(BIO_new_mem_buf(pem.data(), int(pem.size())));
    return Cert(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

bool add_extension(X509* cert, X509* issuer, int nid, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
    const bool added = extension != nullptr && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

// issuer nullptr: signs itself and is a CA.
Result<Cert> make_cert(EVP_PKEY* key, const std::string& name, X509* issuer, EVP_PKEY* issuer_key, WallTime now,
                       const std::vector<std::string>& addresses = {}) {
    std::string names = server_names;
    for (const std::string& address : addresses) names += ",IP:" + address;
    Cert cert(X509_new());
    const int64_t now_s = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
    const int64_t days = issuer == nullptr ? ca_days : server_days;
    uint64_t serial = 0;
    if (RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) return ssl_fail("random serial");
    X509_set_version(cert.get(), 2);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert.get()), serial >> 1);
    ASN1_TIME_set(X509_getm_notBefore(cert.get()), now_s - 3600);  // a client's clock may be behind
    ASN1_TIME_set(X509_getm_notAfter(cert.get()), now_s + days * day_s);
    X509_set_pubkey(cert.get(), key);
    X509_NAME* subject = X509_get_subject_name(cert.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.c_str()), -1,
                               -1, 0);
    X509* const signer = issuer == nullptr ? cert.get() : issuer;
    X509_set_issuer_name(cert.get(), X509_get_subject_name(signer));
    bool ok = add_extension(cert.get(), signer, NID_subject_key_identifier, "hash");
    if (issuer == nullptr) {
        ok = ok && add_extension(cert.get(), signer, NID_basic_constraints, "critical,CA:TRUE") &&
             add_extension(cert.get(), signer, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature");
    } else {
        ok = ok && add_extension(cert.get(), signer, NID_basic_constraints, "critical,CA:FALSE") &&
             add_extension(cert.get(), signer, NID_key_usage, "critical,digitalSignature") &&
             add_extension(cert.get(), signer, NID_ext_key_usage, "serverAuth") &&
             add_extension(cert.get(), signer, NID_authority_key_identifier, "keyid") &&
             add_extension(cert.get(), signer, NID_subject_alt_name, names.c_str());
    }
    if (!ok || X509_sign(cert.get(), issuer_key, EVP_sha256()) == 0) return ssl_fail("sign certificate");
    return cert;
}

bool is_good(const std::string& cert_text, const std::string& key_text, X509* issuer, WallTime now,
             const std::vector<std::string>& addresses = {}) {
    const Cert cert = parse_cert(cert_text);
    const Key key = parse_key(key_text);
    if (!cert || !key || X509_check_private_key(cert.get(), key.get()) != 1) return false;
    if (issuer != nullptr) {
        const Key issuer_key(X509_get_pubkey(issuer));
        if (X509_verify(cert.get(), issuer_key.get()) != 1 || X509_check_ip_asc(cert.get(), "127.0.0.1", 0) != 1)
            return false;
    }
    for (const std::string& address : addresses)
        if (X509_check_ip_asc(cert.get(), address.c_str(), 0) != 1) return false;
    time_t then = time_t(std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count()) +
                  renew_before_days * day_s;
    return X509_cmp_time(X509_get0_notAfter(cert.get()), &then) > 0;
}

}  // namespace

Result<ServerCertificate> open_certificate(const Instance& instance, const std::vector<std::string>& addresses,
                                           const Clock& clock) {
    const std::string dir = instance.state_dir();
    TRY(make_directories(dir, 0700));
    const WallTime now = clock.wall();
    ServerCertificate result;
    std::string ca_key_text = read_file(dir + "/ca.key").value_or("");
    result.ca_pem = read_file(dir + "/ca.pem").value_or("");
    if (!is_good(result.ca_pem, ca_key_text, nullptr, now)) {
        const Key key(EVP_EC_gen("P-256"));
        if (!key) return ssl_fail("make the CA's key");
        const Cert cert =
            TRY(make_cert(key.get(), fmt::format("weft-{}-ca", instance.name()), nullptr, key.get(), now));
        ca_key_text = TRY(key_pem(key.get()));
        result.ca_pem = TRY(cert_pem(cert.get()));
        TRY(write_file(dir + "/ca.key", ca_key_text, 0600));
        TRY(write_file(dir + "/ca.pem", result.ca_pem, 0644));
        log::info("made a certificate authority", {{"instance", instance.name()}});
    }
    const Cert ca = parse_cert(result.ca_pem);
    result.certificate_pem = read_file(dir + "/server.pem").value_or("");
    result.key_pem = read_file(dir + "/server.key").value_or("");
    if (!is_good(result.certificate_pem, result.key_pem, ca.get(), now, addresses)) {
        const Key ca_key = parse_key(ca_key_text);
        const Key key(EVP_EC_gen("P-256"));
        if (!key || !ca_key) return ssl_fail("make the server's key");
        const Cert cert = TRY(make_cert(key.get(), "weft-apiserver", ca.get(), ca_key.get(), now, addresses));
        result.key_pem = TRY(key_pem(key.get()));
        result.certificate_pem = TRY(cert_pem(cert.get()));
        TRY(write_file(dir + "/server.key", result.key_pem, 0600));
        TRY(write_file(dir + "/server.pem", result.certificate_pem, 0644));
    }
    return result;
}

}  // namespace weft::apiserver
