// Lab: what scenarios of several nodes ask and do: who announces an address, which uplink is unplugged. Nodes n1.. hang on
// the street by port1.. of its bridge. Threads: as World's.
#pragma once
#include <string>

#include "net/address.h"
#include "support/world.h"

namespace weft::test {

// As run from outside: pulls the node's plug on the street, or puts it back.
std::string plug(const World& world, unsigned node_number, bool in);
// The node whose uplink answers ARP for the address on the street; "" when none does.
std::string announcer_of(const World& world, const std::string& address);
// Does the node's uplink take in what is asked of this IPv6 address's group (a real card drops all other groups)?
bool listens_for(const World& world, const std::string& node, const net::Address& ipv6);
// `yaml` of pods and what selects them: one Deployment with a Service "NAME" (ClusterIP) of ports 80 → 8080, 9000.
std::string deployment_yaml(const std::string& name, int replicas, const std::string& vswitch, const std::string& service_spec = "");
// A pod of the image echo:demo on that node, labelled app: NAME.
std::string pod_on(const std::string& name, const std::string& node, const std::string& app);

// Who answers the command (a curl of echo:demo): the names of pods of that many answers, sorted, each once; "failed: ..." alone
// for the first failure.
std::string who_answers(const std::string& command, int times);

}  // namespace weft::test
