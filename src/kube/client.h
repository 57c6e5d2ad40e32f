// Client: the one door to an API server, ours or Kubernetes' own; nothing above it can tell which.
//
// Errors: the server's Status becomes an Error: 404 not_found, 409 AlreadyExists already_exists, 409 Conflict conflict,
// 410 gone, 401/403 denied, 400/422 invalid (message is the server's), 429/5xx and no connection unavailable, 504 timeout.
// Threads: any; every call blocks (deadline request_timeout_s) and uses a connection of its own from a small pool.
// FakeClient (kube/fake_client.h) implements the same over a map, for controller tests.
#pragma once
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "kube/object.h"

namespace weft::kube {

inline constexpr int request_timeout_s = 30;

struct ListOptions {
    std::string ns;  // "" = all
    std::string label_selector;
    std::string field_selector;
    bool metadata_only = false;  // apiVersion, kind and metadata: what is in a Secret never comes to who only counts it
};

// What metadata_only leaves of an object.
Object metadata_of(const Object& object);

struct ObjectList {
    std::string resource_version;
    std::vector<Object> items;
};

struct WatchEvent {
    enum class Type : uint8_t { added, modified, deleted, bookmark };
    Type type;
    Object object;
};

enum class PatchType : uint8_t { json, merge, strategic, apply };

struct DeleteOptions {
    std::string uid;                    // precondition, "" = none
    std::string propagation_policy;     // "", Background, Foreground, Orphan
    int64_t grace_period_s = -1;        // -1 = the object's own
};

class Client {
public:
    virtual ~Client() = default;

    virtual Result<Object> get(const Resource& resource, const ObjectKey& key) = 0;
    virtual Result<ObjectList> list(const Resource& resource, const ListOptions& options = {}) = 0;
    // generateName is honoured; the reply is the stored object.
    virtual Result<Object> create(const Resource& resource, const Object& object) = 0;
    // Carries object's resourceVersion as precondition if it has one. update_status writes only status.
    virtual Result<Object> update(const Resource& resource, const Object& object) = 0;
    virtual Result<Object> update_status(const Resource& resource, const Object& object) = 0;
    virtual Result<Object> patch(const Resource& resource, const ObjectKey& key, PatchType type, const json::Value& patch,
                                 std::string_view subresource = {}) = 0;
    virtual Status remove(const Resource& resource, const ObjectKey& key, const DeleteOptions& options = {}) = 0;

    // Every change after `resource_version`, until `stop`, the server's end of stream (success) or an error (gone: list
    // again). Bookmarks are asked for and delivered. `on_event` returns false to end the watch.
    virtual Status watch(const Resource& resource, const ListOptions& options, std::string_view resource_version,
                         std::stop_token stop, const std::function<bool(WatchEvent&&)>& on_event) = 0;
};

// Where the server is and how we show who we are.
struct Endpoint {
    std::string unix_socket;                 // wins over url when set
    std::string url = "http://localhost";    // scheme and authority
    std::string token;                       // bearer, "" = none
    std::string token_file;                  // wins over token when set; read again every 10 s, since tokens are renewed
    std::string ca_pem, client_cert_pem, client_key_pem;
    bool insecure_skip_verify = false;
    // A worker without rights gets connected sockets from its keeper instead (plain HTTP over them); empty = connect ourselves.
    std::function<Result<Fd>()> dial;
    std::string user_agent = "weft";
};

// $KUBECONFIG or the given path; current-context; token, tokenFile, client certificates (data or file), CA, unix sockets
// as server "unix:///run/...". Exec plugins are refused by name.
Result<Endpoint> read_kubeconfig(const std::string& path);
// A pod on a real cluster: /var/run/secrets/kubernetes.io/serviceaccount.
Result<Endpoint> in_cluster_endpoint();

std::unique_ptr<Client> connect(Endpoint endpoint);

// A raw request, for what is not an object: logs, discovery, tables. `on_data` sees body chunks as they come and returns
// false to stop; returns the HTTP status and the whole body when on_data is empty.
struct RawReply {
    int status = 0;
    std::string content_type;
    std::string body;
};
Result<RawReply> raw_request(const Endpoint& endpoint, std::string_view method, std::string_view path_and_query,
                             std::string_view body, std::string_view content_type, std::string_view accept,
                             std::stop_token stop = {}, const std::function<bool(std::string_view)>& on_data = {});

}  // namespace weft::kube
