// CustomKinds: the kinds that CustomResourceDefinitions add to the API, as resources that the client can ask for.
// Threads: values; the texts of the resources live as long as the list they are in.
#pragma once
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kube/client.h"

namespace weft::controller {

class CustomKinds {
public:
    CustomKinds() = default;
    CustomKinds(const CustomKinds&) = delete;

    const std::vector<kube::Resource>& resources() const { return resources_; }
    const kube::Resource* find(std::string_view api_version, std::string_view kind) const;
    void add(const kube::Object& definition);

private:
    std::string_view keep(std::string_view text) { return texts_.emplace_back(text); }

    std::list<std::string> texts_;
    std::vector<kube::Resource> resources_;  // one served version each: it shows all objects
};

// None where definitions are not served. Kinds of weft.dev and network.alibabacloud.com are ours and
// not listed.
Result<std::shared_ptr<const CustomKinds>> custom_kinds(kube::Client& client);

}  // namespace weft::controller
