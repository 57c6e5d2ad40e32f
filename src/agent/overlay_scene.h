// For tests: the overlay of node n1 over an API and a kernel in memory, seeded with a world. Threads: one.
#pragma once
#include <gtest/gtest.h>

#include "agent/overlay.h"
#include "agent/underlay_fake.h"
#include "kernel/bpf_map_fake.h"
#include "kube/fake_client.h"

namespace weft::agent {

struct OverlayScene : testing::Test {
    explicit OverlayScene(std::string_view world) {
        api.seed(world);
        MUST(tables.load());
        add_overlay(*brain, view, overlay);
    }

    FakeClock clock;
    kube::FakeClient api{clock};
    std::unique_ptr<kube::Brain> brain = kube::Brain::create(api, clock);
    kernel::NodeMaps maps = kernel::fake_node_maps();
    Tables tables{maps};
    View view{*brain, "n1"};
    FakeUnderlay underlay;
    Overlay overlay{view, brain->watch(kube::nodes), tables, 1500, underlay};
};

}  // namespace weft::agent
