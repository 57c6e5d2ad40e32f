// weft-cni: the CNI plugin. Reads environment and stdin, asks the node's agent one question, prints the result.
//
// It holds no state and speaks to no API server. When the agent is away, ADD and CHECK end with code 11 (try again);
// DEL takes the interface down itself and leaves a tombstone beside the agent's socket, from which the agent frees the
// address when it is back. Exit status 0 with the result on stdout, or 1 with the error JSON on stdout.
// Source: design.md "A CNI ADD"; spec/kubernetes.md §9.
#pragma once
#include <functional>
#include <string>
#include <string_view>

namespace weft::cni {

// The whole program: `get` reads the environment, `input` is stdin's content. Returns the exit status.
int call(const std::function<std::string(const char*)>& get, std::string_view input, std::string& output);

// What main() calls: real environment, stdin and stdout.
int cni_main();

}  // namespace weft::cni
