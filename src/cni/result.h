// What a CNI call prints: the result of ADD in the shape of the asked version, the answer to VERSION, or the error.
// Pure. Source: spec/kubernetes.md CNI-5, CNI-6, CNI-21.
#pragma once
#include <string>
#include <string_view>

#include "cni/config.h"
#include "cni/failure.h"

namespace weft::cni {

std::string result_json(const Config& config, const protocol::cni::Wired& wired, std::string_view ifname,
                        std::string_view netns);
std::string version_json();
std::string error_json(std::string_view version, const Failure& failure);

// CHECK: what of the last result no longer holds; ok when all does.
Outcome<void> compare(const PreviousResult& previous, const protocol::cni::Wired& wired);

}  // namespace weft::cni
