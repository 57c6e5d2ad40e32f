// Ipam: addresses by another plugin (`ipam.type`), run from CNI_PATH with our own environment and configuration.
//
// What it gives is a wish like any other: the agent takes it when the pod's vSwitch has it and a block with it is lent to
// this node, else ADD ends and the plugin takes it back. Only IPv4 counts; IPv6 follows from it. Errors: code 4 without
// CNI_PATH, 2 when no folder of it has the plugin, else what the plugin says. Source: spec/kubernetes.md CNI-23.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "cni/failure.h"

namespace weft::cni {

class Ipam {
public:
    using Get = std::function<std::string(const char*)>;

    // `type` "" = none; `get` and `input` must outlive it.
    Ipam(std::string type, const Get& get, std::string_view input) : type_(std::move(type)), get_(get), input_(input) {}

    bool is_used() const { return !type_.empty(); }
    // "10.0.0.7"
    Outcome<std::string> add() const;
    // DEL, CHECK, STATUS or GC; nothing when none is used.
    Outcome<void> call(std::string_view command) const;

private:
    Outcome<std::string> find() const;
    Outcome<std::string> run(std::string_view command) const;

    const std::string type_;
    const Get& get_;
    const std::string_view input_;
};

}  // namespace weft::cni
