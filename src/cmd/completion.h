// Completion: the script that completes weft's words in bash, made from the verbs as they are declared. Names of pods and
// nodes are asked of the running weft when they are needed. Pure.
#pragma once
#include <string>

namespace CLI {
class App;
}

namespace weft::cmd {

std::string bash_completion(const CLI::App& app);

}  // namespace weft::cmd
