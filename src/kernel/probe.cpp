#include "kernel/probe.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstring>
#include <thread>

#include "base/strings.h"
#include "kernel/link.h"
#include "kernel/tc.h"

namespace weft::kernel {
namespace {

constexpr std::string_view near_end = "probe0";
constexpr std::string_view far_end = "probe1";

// "return TC_ACT_OK"
Result<Program> load_smallest_program() {
    const bpf_insn instructions[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = 0},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
    };
    Program program;
    program.name = "weft_probe";
    program.fd = Fd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, program.name.c_str(), "GPL", instructions,
                                  std::size(instructions), nullptr));
    if (!program.fd) return fail_errno("load a BPF program");
    bpf_prog_info info{};
    uint32_t bytes = sizeof(info);
    if (bpf_obj_get_info_by_fd(program.fd.get(), &info, &bytes) != 0) return fail_errno("ask about a BPF program");
    std::memcpy(program.tag.data(), info.tag, program.tag.size());
    return program;
}

Status probe_here() {
    if (unshare(CLONE_NEWNET) != 0) return fail_errno("make a network namespace");
    Netlink netlink = TRY(Netlink::open());
    TRY_IN("make a veth pair", create_veth(netlink, {std::string(near_end)}, {std::string(far_end)}));
    const Link link = TRY(find_link(netlink, near_end));
    const Program program = TRY(load_smallest_program());
    TRY_IN("attach a BPF filter", attach_filter(netlink, link.index, Direction::ingress, program));
    return {};
}

// From include/uapi/linux/netfilter/nf_tables.h: a message of the nftables subsystem.
constexpr uint16_t nftables_message(uint16_t type) {
    return uint16_t(NFNL_SUBSYS_NFTABLES << 8 | type);
}

std::string_view family_name(uint8_t family) {
    switch (family) {
        case 1:
            return "inet";
        case 2:
            return "ip";
        case 3:
            return "arp";
        case 5:
            return "netdev";
        case 7:
            return "bridge";
        case 10:
            return "ip6";
        default:
            return "?";
    }
}

void read_table(const nlmsghdr& message, std::vector<std::string>& tables) {
    if (message.nlmsg_type != nftables_message(NFT_MSG_NEWTABLE)) return;
    nfgenmsg header;
    std::memcpy(&header, NLMSG_DATA(&message), sizeof(header));
    for_each_attribute(message, sizeof(nfgenmsg), [&](uint16_t type, const void* data, size_t bytes) {
        if (type == NFTA_TABLE_NAME && bytes > 0)
            tables.push_back(std::string(family_name(header.nfgen_family)) + " " + static_cast<const char*>(data));
    });
}

// A machine whose kernel has no nftables has no tables of it.
Status list_nftables(std::vector<std::string>& tables) {
    const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
    if (!socket) return {};

    struct {
        nlmsghdr message;
        nfgenmsg header;
    } request{};

    request.message.nlmsg_len = sizeof(request);
    request.message.nlmsg_type = nftables_message(NFT_MSG_GETTABLE);
    request.message.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    if (::send(socket.get(), &request, sizeof(request), 0) < 0) return fail_errno("ask for nftables");
    std::vector<char> buffer(64 * 1024);
    for (;;) {
        const ssize_t received = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
        if (received <= 0) return fail_errno("ask for nftables");
        size_t left = size_t(received);
        for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
             message = NLMSG_NEXT(message, left)) {
            if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) return {};
            read_table(*message, tables);
        }
    }
}

}  // namespace

Status probe_data_plane() {
    Status result;
    std::thread([&result] { result = probe_here(); }).join();
    return result;
}

Result<std::vector<std::string>> list_firewall_tables(const Netns& netns) {
    return netns.run([]() -> Result<std::vector<std::string>> {
        std::vector<std::string> tables;
        TRY(list_nftables(tables));
        for (const char* names : {"ip", "ip6"}) {
            const auto text = read_file(std::string("/proc/thread-self/net/") + names + "_tables_names");
            if (!text) continue;
            for (const std::string_view name : split(*text, '\n'))
                if (!name.empty()) tables.push_back(std::string(names) + "tables: " + std::string(name));
        }
        return tables;
    });
}

}  // namespace weft::kernel
