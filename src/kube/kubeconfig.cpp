#include <cstdlib>

#include "base/strings.h"
#include "kube/client.h"

namespace weft::kube {

namespace {

// The `body` ("cluster", "user", "context") of the entry called `name` in one of kubeconfig's named lists.
Result<const json::Value*> named_entry(const json::Value& config, std::string_view list, std::string_view body,
                                       std::string_view name) {
    if (const json::Array* entries = json::find_array(config, {list})) {
        for (const json::Value& entry : *entries) {
            const json::Value* found = json::find(entry, {body});
            if (json::find_string(entry, {"name"}) == name && found != nullptr) return found;
        }
    }
    return fail(Code::invalid, fmt::format("{}: there is no entry \"{}\"", list, name));
}

// `<field>-data` in base64, or the file that `<field>` names, relative to the kubeconfig; "" when neither is there.
Result<std::string> data_or_file(const json::Value& entry, const std::string& field, const std::string& folder) {
    if (const std::string_view data = json::find_string(entry, {field + "-data"}); !data.empty()) {
        std::optional<std::string> bytes = base64_decode(data);
        if (!bytes) return fail(Code::invalid, field + "-data: is not base64");
        return std::move(*bytes);
    }
    const std::string_view path = json::find_string(entry, {field});
    if (path.empty()) return std::string();
    return TRY_IN(field, read_file(path.starts_with('/') ? std::string(path) : folder + "/" + std::string(path)));
}

Status read_cluster(const json::Value& cluster, const std::string& folder, Endpoint& endpoint) {
    const std::string_view server = json::find_string(cluster, {"server"});
    if (server.starts_with("unix://")) {
        endpoint.unix_socket = server.substr(7);
        if (!endpoint.unix_socket.starts_with('/'))
            return fail(Code::invalid, "server: a unix socket needs an absolute path");
    } else if (server.starts_with("https://") || server.starts_with("http://")) {
        endpoint.url = server;
        while (endpoint.url.ends_with('/')) endpoint.url.pop_back();
    } else {
        return fail(Code::invalid, fmt::format("server: \"{}\" must begin with https://, http:// or unix://", server));
    }
    for (const std::string_view unsupported : {"proxy-url", "tls-server-name"})
        if (json::has(cluster, {unsupported}))
            return fail(Code::invalid, std::string(unsupported) + ": is not supported");
    endpoint.insecure_skip_verify = json::find_bool(cluster, {"insecure-skip-tls-verify"});
    endpoint.ca_pem = TRY(data_or_file(cluster, "certificate-authority", folder));
    return {};
}

Status read_user(const json::Value& user, const std::string& folder, Endpoint& endpoint) {
    for (const std::string_view unsupported : {"exec", "auth-provider", "username", "as"}) {
        if (json::has(user, {unsupported}))
            return fail(Code::invalid,
                        std::string(unsupported) + ": is not supported; use a token or a client certificate");
    }
    endpoint.token = json::find_string(user, {"token"});
    if (const std::string_view path = json::find_string(user, {"tokenFile"}); !path.empty() && endpoint.token.empty())
        endpoint.token_file = path.starts_with('/') ? std::string(path) : folder + "/" + std::string(path);
    endpoint.client_cert_pem = TRY(data_or_file(user, "client-certificate", folder));
    endpoint.client_key_pem = TRY(data_or_file(user, "client-key", folder));
    if (endpoint.client_cert_pem.empty() != endpoint.client_key_pem.empty())
        return fail(Code::invalid, "client-certificate and client-key: one without the other");
    return {};
}

Result<Endpoint> parse_kubeconfig(const std::string& text, const std::string& folder) {
    const std::vector<json::Value> documents = TRY(json::parse_yaml(text));
    if (documents.size() != 1) return fail(Code::invalid, "must hold exactly one document");
    const json::Value& config = documents[0];
    const std::string_view current = json::find_string(config, {"current-context"});
    if (current.empty()) return fail(Code::invalid, "current-context: Required value");
    const json::Value& context = *TRY(named_entry(config, "contexts", "context", current));
    const std::string_view cluster = json::find_string(context, {"cluster"});
    const std::string_view user = json::find_string(context, {"user"});
    Endpoint endpoint;
    TRY_IN(fmt::format("clusters \"{}\"", cluster),
           read_cluster(*TRY(named_entry(config, "clusters", "cluster", cluster)), folder, endpoint));
    if (!user.empty())
        TRY_IN(fmt::format("users \"{}\"", user),
               read_user(*TRY(named_entry(config, "users", "user", user)), folder, endpoint));
    return endpoint;
}

}  // namespace

Result<Endpoint> read_kubeconfig(const std::string& path) {
    std::string file = path;
    if (const char* variable = std::getenv("KUBECONFIG"); file.empty() && variable != nullptr) file = variable;
    if (file.find(':') != std::string::npos)
        return fail(Code::invalid, "kubeconfig " + file + ": merging files is not supported");
    if (const char* home = std::getenv("HOME"); file.empty() && home != nullptr)
        file = std::string(home) + "/.kube/config";
    if (file.empty()) return fail(Code::not_found, "kubeconfig: none given and neither KUBECONFIG nor HOME is set");
    const std::string doing = "kubeconfig " + file;
    const std::string text = TRY_IN(doing, read_file(file));
    const size_t slash = file.rfind('/');
    return TRY_IN(doing, parse_kubeconfig(text, slash == std::string::npos ? "." : file.substr(0, slash)));
}

Result<Endpoint> in_cluster_endpoint() {
    static const std::string folder = "/var/run/secrets/kubernetes.io/serviceaccount";
    const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
    const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
    if (host == nullptr || port == nullptr)
        return fail(Code::not_found,
                    "not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
    Endpoint endpoint;
    const bool v6 = std::string_view(host).find(':') != std::string_view::npos;
    endpoint.url = fmt::format("https://{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
    endpoint.ca_pem = TRY_IN("in cluster", read_file(folder + "/ca.crt"));
    endpoint.token_file = folder + "/token";
    return endpoint;
}

}  // namespace weft::kube
