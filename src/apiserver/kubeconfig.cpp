#include "apiserver/kubeconfig.h"

#include "base/fd.h"
#include "base/json.h"
#include "base/strings.h"

namespace weft::apiserver {

Status write_kubeconfig(const Instance& instance, uint16_t port, std::string_view ca_pem, std::string_view token) {
    const std::string name = "weft-" + instance.name();
    const json::Value config = json::Object{
        {"apiVersion", "v1"},
        {"kind", "Config"},
        {"current-context", name},
        {"clusters",
         json::Array{json::Object{{"name", name},
                                  {"cluster", json::Object{{"server", "https://127.0.0.1:" + std::to_string(port)},
                                                           {"certificate-authority-data", base64_encode(ca_pem)}}}}}},
        {"users", json::Array{json::Object{{"name", name + "-root"}, {"user", json::Object{{"token", token}}}}}},
        {"contexts",
         json::Array{json::Object{
             {"name", name},
             {"context", json::Object{{"cluster", name}, {"user", name + "-root"}, {"namespace", "default"}}}}}},
    };
    const std::string text = json::to_yaml(config);
    if (read_file(instance.kubeconfig()).value_or("") == text) return {};
    return write_file(instance.kubeconfig(), text, 0600);
}

}  // namespace weft::apiserver
