// Verbs: one function per `weft` verb; each prints for a person, returns the exit code, and keeps its arguments in a struct.
// The thin Kubernetes verbs (apply, get, delete, logs, exec) serve machines without kubectl. Source: design.md §2, issue 3.
#pragma once
#include <string>
#include <vector>

#include "cli/context.h"
#include "protocol/dns_options.h"

namespace weft::cli {

struct UpArgs {
    std::string self_binary;
    std::string examples;      // folder with world.yaml and hello/; "" = do not apply or prove anything
    std::vector<std::string> nodes;  // "name=zone[+zone]"; default node-1=cn-local-a+cn-local-b
    protocol::DnsOptions dns;
    bool detach_only = false;  // start, wait until ready, prove nothing
};
int up(const Common& common, const UpArgs& args);
int supervise(const Common& common, const UpArgs& args);  // what `up` leaves running
struct LabArgs;                                                         // lab.h
int lab(const Common& common, const UpArgs& args, const LabArgs& lab);  // `up` with several nodes

int down(const Common& common, bool purge);
int status(const Common& common);
int drops(const Common& common, bool follow);  // with follow and -o json one object a line
int conntrack(const Common& common, const std::string& node, const std::string& address);  // "": every node, every address
// `who` is NAMESPACE/POD or POD, `target` ADDRESS:PORT[/udp]. 0: goes on; 9: would be dropped (docs/operate/cli.md).
int why(const Common& common, const std::string& who, const std::string& target);
int doctor(const Common& common, const std::string& self_binary);
int version(const Common& common, const std::string& number);

int apply(const Common& common, const std::vector<std::string>& files);
int get(const Common& common, const std::string& what, const std::string& name, bool all_namespaces);
int remove(const Common& common, const std::vector<std::string>& files, const std::string& what, const std::string& name);
int logs(const Common& common, const std::string& pod, const std::string& container, bool follow, int64_t tail);
// A place of the instance ("internet", a node), else a pod of the namespace.
int exec(const Common& common, const std::string& where, const std::string& container, const std::vector<std::string>& argv);

}  // namespace weft::cli
