// Objects: what scenarios ask of the API's objects again and again, with the words for a failure; and a recording of every
// state an object goes through. Threads: as World's.
#pragma once
#include <string>
#include <vector>

#include "support/world.h"

namespace weft::test {

inline constexpr int soon_s = 90;

// kubectl apply of examples/acs/NUMBER-*.yaml as it stands; "" or what was said.
std::string apply_example(const World& world, const std::string& number);

std::string text_at(const json::Value& object, json::Path path);
std::string annotation(const json::Value& object, std::string_view name);

// Until the pods run and have addresses.
std::string running(const World& world, const std::string& ns, const std::vector<std::string>& pods);
// Until it holds for the objects' list.
std::string until_list(const World& world, const std::string& what, const std::string& ns,
                       const std::function<std::string(const json::Array&)>& holds);
// Until an Event of this type, reason and text stands on the object.
std::string until_event(const World& world, const std::string& ns, const std::string& name, const std::string& type,
                        const std::string& reason, const std::string& text);
bool is_in(const std::string& address, std::string_view cidr);

// Every state of every object of a kind in a namespace from now on, each as one line by a jsonpath template.
class Recording {
public:
    Recording(const World& world, const std::string& what, const std::string& ns, const std::string& jsonpath);
    ~Recording();
    Recording(const Recording&) = delete;

    std::vector<std::string> lines() const;

private:
    std::string file_;
    std::string pid_;
};

}  // namespace weft::test
