#include "agent/allocation_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "base/json.h"
#include "base/strings.h"

namespace weft::agent {
namespace {

constexpr std::string_view magic = "weft-allocations 1 ";

std::string encode(const Allocation& a) {
    return json::serialize(json::Object{{"container", a.key.container_id},
                                        {"ifname", a.key.ifname},
                                        {"namespace", a.pod_namespace},
                                        {"pod", a.pod_name},
                                        {"uid", a.pod_uid},
                                        {"netns", a.netns},
                                        {"vpc", a.vpc},
                                        {"vswitch", a.vswitch},
                                        {"block", a.block},
                                        {"vni", int64_t(a.vni)},
                                        {"address", a.address.text()},
                                        {"ipv6", a.ipv6 ? a.ipv6->text() : ""},
                                        {"endpoint", int64_t(a.endpoint_id)},
                                        {"link", a.host_link},
                                        {"mtu", int64_t(a.mtu)},
                                        {"network", a.network},
                                        {"at", int64_t(a.reserved_ms)}});
}

Result<Allocation> decode(std::string_view text) {
    const json::Value value = TRY(json::parse(text));
    const auto string = [&](std::string_view name) { return std::string(json::find_string(value, {name})); };
    Allocation a;
    a.key = {string("container"), string("ifname")};
    a.pod_namespace = string("namespace");
    a.pod_name = string("pod");
    a.pod_uid = string("uid");
    a.netns = string("netns");
    a.vpc = string("vpc");
    a.vswitch = string("vswitch");
    a.block = string("block");
    a.vni = uint32_t(json::find_int(value, {"vni"}));
    a.address = TRY(net::Address::parse(string("address")));
    if (const std::string ipv6 = string("ipv6"); !ipv6.empty()) a.ipv6 = TRY(net::Address::parse(ipv6));
    a.endpoint_id = uint32_t(json::find_int(value, {"endpoint"}));
    a.host_link = string("link");
    a.mtu = unsigned(json::find_int(value, {"mtu"}));
    a.network = string("network");
    a.reserved_ms = uint64_t(json::find_int(value, {"at"}));
    if (a.key.container_id.empty() || a.key.ifname.empty() || a.endpoint_id == 0)
        return fail(Code::invalid, "container, ifname and endpoint must be set");
    return a;
}

AttachmentKey parse_key(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash == text.npos) return {std::string(text), ""};
    return {std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

// One whole line into the state. A confirm or release of what is not there is history that compaction left out.
Status apply_line(AllocationState& state, std::string_view line) {
    const size_t space = line.find(' ');
    const std::string_view verb = line.substr(0, space);
    const std::string_view rest = space == line.npos ? std::string_view() : line.substr(space + 1);
    if (verb == "reserve") {
        Allocation allocation = TRY(decode(rest));
        state.cooling.erase({allocation.vpc, allocation.address});
        state.allocations.insert_or_assign(allocation.key, allocation);
        return {};
    }
    if (verb == "confirm") {
        const auto found = state.allocations.find(parse_key(rest));
        if (found != state.allocations.end()) found->second.confirmed = true;
        return {};
    }
    if (verb == "release") {
        const size_t gap = rest.rfind(' ');
        const auto until = gap == rest.npos ? std::nullopt : parse_unsigned(rest.substr(gap + 1));
        if (!until) return fail(Code::invalid, "release: no time");
        const auto found = state.allocations.find(parse_key(rest.substr(0, gap)));
        if (found == state.allocations.end()) return {};
        state.cooling[{found->second.vpc, found->second.address}] = *until;
        state.allocations.erase(found);
        return {};
    }
    if (verb == "cooling") {  // written by compaction: <vpc> <address> <until>
        const auto words = split(rest, ' ');
        const auto until = words.size() == 3 ? parse_unsigned(words[2]) : std::nullopt;
        if (!until) return fail(Code::invalid, "cooling: must be vpc, address and time");
        state.cooling[{std::string(words[0]), TRY(net::Address::parse(words[1]))}] = *until;
        return {};
    }
    return fail(Code::invalid, "unknown verb \"" + std::string(verb) + "\"");
}

std::string first_line(std::string_view boot_id) { return std::string(magic) + std::string(boot_id) + "\n"; }

Result<Fd> open_for_append(const std::string& path) {
    Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!fd) return fail_errno("open " + path);
    return fd;
}

}  // namespace

Result<AllocationState> read_allocations(std::string_view text, std::string_view boot_id) {
    AllocationState state;
    size_t at = 0;
    for (size_t end = text.find('\n'); end != text.npos; end = text.find('\n', at)) {
        const std::string_view line = text.substr(at, end - at);
        if (at == 0) {
            if (line.substr(0, magic.size()) != magic) return fail(Code::invalid, "line 1: not an allocation log");
            if (line.substr(magic.size()) != boot_id) return AllocationState{};
        } else {
            TRY_IN("line " + std::to_string(state.lines + 1), apply_line(state, line));
        }
        ++state.lines;
        at = end + 1;
        state.good_bytes = at;
    }
    return state;
}

Result<AllocationLog> AllocationLog::open(const std::string& path, std::string_view boot_id) {
    AllocationState state;
    if (const Result<std::string> text = read_file(path)) {
        state = TRY_IN(path, read_allocations(*text, boot_id));
    } else if (text.error().code != Code::not_found) {
        return fail(text.error());
    }
    // Nothing of this boot: begin anew, in one rename. Else cut off a torn last line.
    if (state.lines == 0) TRY(write_file(path, first_line(boot_id)));
    Fd fd = TRY(open_for_append(path));
    if (state.lines == 0) state.lines = 1;
    else if (::ftruncate(fd.get(), off_t(state.good_bytes)) != 0) return fail_errno("cut " + path);
    return AllocationLog(path, std::string(boot_id), std::move(fd), std::move(state));
}

const Allocation* AllocationLog::find(const AttachmentKey& key) const {
    const auto found = state_.allocations.find(key);
    return found == state_.allocations.end() ? nullptr : &found->second;
}

// One write per line: a killed process leaves all of it or a piece without its newline.
Status AllocationLog::append(const std::string& line) {
    const off_t before = ::lseek(fd_.get(), 0, SEEK_END);
    const ssize_t written = ::write(fd_.get(), line.data(), line.size());
    if (written == ssize_t(line.size())) {
        ++state_.lines;
        return {};
    }
    const int why = written < 0 ? errno : ENOSPC;
    if (before >= 0 && ::ftruncate(fd_.get(), before) != 0) return fail_errno("repair " + path_);
    return fail(errno_error(why, "append to " + path_));
}

Status AllocationLog::reserve(const Allocation& allocation) {
    if (find(allocation.key)) return fail(Code::already_exists, "allocation " + allocation.key.text());
    TRY(append("reserve " + encode(allocation) + "\n"));
    Allocation reserved = allocation;
    reserved.confirmed = false;
    state_.cooling.erase({allocation.vpc, allocation.address});
    state_.allocations.emplace(allocation.key, std::move(reserved));
    return {};
}

Status AllocationLog::confirm(const AttachmentKey& key) {
    const auto found = state_.allocations.find(key);
    if (found == state_.allocations.end()) return fail(Code::not_found, "allocation " + key.text());
    TRY(append("confirm " + key.text() + "\n"));
    found->second.confirmed = true;
    return {};
}

Status AllocationLog::release(const AttachmentKey& key, uint64_t now_s) {
    const auto found = state_.allocations.find(key);
    if (found == state_.allocations.end()) return {};
    const uint64_t until = now_s + cool_down_s;
    TRY(append("release " + key.text() + " " + std::to_string(until) + "\n"));
    state_.cooling[{found->second.vpc, found->second.address}] = until;
    state_.allocations.erase(found);
    return {};
}

void AllocationLog::forget_cooled(uint64_t now_s) {
    std::erase_if(state_.cooling, [&](const auto& cooling) { return cooling.second <= now_s; });
}

Status AllocationLog::compact_if_worth_it(uint64_t now_s) {
    forget_cooled(now_s);
    const size_t live = 2 * state_.allocations.size() + state_.cooling.size();
    if (state_.lines < log_lines_before_compaction || state_.lines < 4 * live) return {};
    std::string text = first_line(boot_id_);
    size_t lines = 1;
    for (const auto& [key, allocation] : state_.allocations) {
        text += "reserve " + encode(allocation) + "\n";
        if (allocation.confirmed) text += "confirm " + key.text() + "\n";
        lines += allocation.confirmed ? 2 : 1;
    }
    for (const auto& [cooling, until] : state_.cooling) {
        text += "cooling " + cooling.vpc + " " + cooling.address.text() + " " + std::to_string(until) + "\n";
        ++lines;
    }
    // Open before it takes the old one's place: after that nothing may fail, or lines would go to a file without a name.
    const std::string next = path_ + ".next";
    TRY(write_file(next, text));
    Fd fd = TRY(open_for_append(next));
    if (::rename(next.c_str(), path_.c_str()) != 0) return fail_errno("rename to " + path_);
    fd_ = std::move(fd);
    state_.lines = lines;
    return {};
}

uint64_t uptime_s(const Clock& clock) {
    return uint64_t(std::chrono::duration_cast<std::chrono::seconds>(clock.now().time_since_epoch()).count());
}

uint64_t uptime_ms(const Clock& clock) {
    return uint64_t(std::chrono::duration_cast<std::chrono::milliseconds>(clock.now().time_since_epoch()).count());
}

Result<std::string> boot_id() {
    const std::string text = TRY(read_file("/proc/sys/kernel/random/boot_id"));
    return std::string(trim(text));
}

}  // namespace weft::agent
