// Pod files: resolv.conf, hosts, hostname and nsswitch.conf of a pod as text. Pure.
// Source: spec/kubernetes.md §8.3; spec/acs.md §9.3. Limits: three nameservers, 32 searches (the rest is cut).
#pragma once
#include <string>
#include <vector>

#include "kube/object.h"

namespace weft::runtime {

inline constexpr size_t nameservers_max = 3;
inline constexpr size_t searches_max = 32;

struct DnsInputs {
    std::string cluster_dns;   // "" = the VPC is not known
    std::string dns_namespace; // as the VPC's DNS view calls the pod's namespace
    std::string node_resolv_conf;
};

std::string resolv_conf(const kube::Object& pod, const DnsInputs& inputs);
std::string hosts_file(const kube::Object& pod, const std::vector<std::string>& pod_ips,
                       const std::string& dns_namespace);
inline constexpr std::string_view nsswitch_conf = "passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\n";

}  // namespace weft::runtime
