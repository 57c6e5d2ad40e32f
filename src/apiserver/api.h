// Api: the whole API server but its sockets: who asks, may they, what does the path name, answer. A function of a Call.
//
//   health, /version → tokens → limits → /metrics, discovery, openapi → find_target → authorize → Rest
//
// Limits (API-131): in-flight reads and writes; more get 429. Watches, log and exec do not count.
// Threads: answer() from any number. Source: spec/kubernetes.md §1.1, §1.13; style.md's walk "A Service".
#pragma once
#include <atomic>
#include <map>
#include <mutex>

#include "apiserver/authorize.h"
#include "apiserver/call.h"
#include "apiserver/crd.h"
#include "apiserver/objects.h"
#include "base/clock.h"
#include "base/instance.h"

namespace weft::apiserver {

inline constexpr int reads_in_flight_max = 400;
inline constexpr int writes_in_flight_max = 200;

class Api {
public:
    // Loads the stored CRDs and makes the namespaces that always exist. `log` must outlive the Api.
    static Result<std::unique_ptr<Api>> open(store::Log& log, Tokens tokens, const Instance& instance,
                                             const Clock& clock = system_clock());

    Reply answer(const Call& call);

    Objects& objects() { return objects_; }
    Kinds& kinds() { return kinds_; }

private:
    Api(store::Log& log, Tokens tokens, const Instance& instance, const Clock& clock);
    Status make_default_namespaces();
    Outcome<Identity> identify(const Call& call);
    Outcome<TokenOwner> owner_of(std::string_view authorization, const std::vector<std::string>& audiences);
    Outcome<Reply> answer_or_fail(const Call& call);
    Outcome<Reply> answer_resource(const Call& call, const Identity& identity, std::shared_ptr<const KindTable> table);
    std::optional<Reply> answer_health(const Call& call);
    Outcome<std::optional<Reply>> answer_openapi(const Call& call, const KindTable& table);

    Objects objects_;
    Kinds kinds_;
    const Tokens tokens_;
    const Instance instance_;
    const Clock& clock_;
    std::atomic<int> reads_{0}, writes_{0};

    std::mutex documents_mutex_;
    uint64_t documents_version_ = 0;
    std::map<std::string, std::shared_ptr<const std::string>> documents_;  // OpenAPI, by path, of one table version
};

}  // namespace weft::apiserver
