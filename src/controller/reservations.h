// Reservations: addresses that belong to a pod's name: kept by a PodENI of the name (fixed), or given by the scheduler
// to a pod that lives (fixed or chosen; annotation weft.dev/address). Nobody else is ever lent one.
//
// Crash-safe by order: the PodENI of a fixed address is written before the pod is bound; the PodENI goes only after its
// pod. Threads: the brain's only. Source: spec/acs.md §3.4, §3.5; docs/design/addresses.md.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cloud/ipam.h"
#include "cloud/pod_networking.h"
#include "controller/world.h"

namespace weft::controller {

// Which namespaces are of one VPC; each is looked up once. Anybody may write our annotations on his pods: on those of other
// VPCs they are not believed.
class Membership {
public:
    Membership(const World& world, std::string_view vpc) : world_(world), vpc_(vpc) {}

    bool has(std::string_view ns);

private:
    const World& world_;
    const std::string vpc_;
    std::map<std::string, bool, std::less<>> known_;
};

// Of one vSwitch, by address. Pods are believed that are bound, and of its VPC. A PodENI comes before any pod; of two pods
// the one that the address is lent for, else the older.
std::vector<cloud::Reservation> reservations_of(const World& world, const cloud::VSwitch& vswitch);

// The address a PodENI keeps for its name, whether a pod lives or not.
struct Kept {
    std::string vswitch;
    net::Address address;
    cloud::AllocationType type;
};

std::optional<Kept> kept_address(const kube::Object& pod_eni);
// Is it this bound pod that the address is kept for, and not one that only has the name? `allocated` is what its block lists.
bool has_kept_address(const kube::Object& pod, const Kept& kept, const std::optional<net::Address>& allocated);

// What a pod asks for beyond an address of one of its vSwitches.
struct AddressWish {
    std::optional<cloud::AllocationType> fixed;  // for the name
    std::optional<Kept> kept;                    // ... and it has one already
    std::optional<net::Address> chosen;          // k8s.aliyun.com/eci-private-ip-address
    cloud::SelectionPolicy policy = cloud::SelectionPolicy::ordered;

    bool is_reserved() const { return fixed || chosen; }
};

std::expected<AddressWish, cloud::Refusal> address_wish(World& world, const kube::Object& pod);

// The address to reserve for the pod out of this vSwitch.
struct Pick {
    std::optional<net::Address> address;
    std::string problem;     // why not, for a person
    bool exhausted = false;  // the vSwitch has none, now or soon
};

Pick pick_address(World& world, const cloud::VSwitch& vswitch, const kube::Object& pod, const AddressWish& wish);

// The PodENI that keeps it, as it stands before its pod is bound.
kube::Object new_pod_eni(const World& world, const kube::Object& pod, const cloud::VSwitch& vswitch,
                         const net::Address& address, const cloud::AllocationType& type);

// "eni-" and 20 digits: one interface per pod, so its id follows from the pod's.
std::string eni_id(std::string_view pod_uid);

}  // namespace weft::controller
