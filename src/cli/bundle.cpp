// weft bundle: gathers and packs.
#include "cli/bundle.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <functional>

#include "base/fd.h"
#include "base/strings.h"
#include "cli/nodes.h"
#include "cli/place.h"
#include "cli/views.h"
#include "kernel/netns.h"
#include "kube/discovery.h"

namespace weft::cli {

namespace fs = std::filesystem;

namespace {

constexpr size_t log_bytes_max = 1 << 20;      // the end of each
constexpr size_t archive_bytes_max = 512 << 20;
constexpr int command_timeout_s = 10;

class Archive {
public:
    explicit Archive(std::string folder) : folder_(std::move(folder)), now_s_(uint64_t(std::time(nullptr))) {}

    void add(const std::string& name, std::string_view content) {
        const std::string path = folder_ + "/" + name;
        if (path.size() > 100 || bytes_.size() + content.size() > archive_bytes_max) {
            miss(name, "too long");
            return;
        }
        bytes_ += tar_entry(path, content, now_s_);
        files_++;
    }

    void add(const std::string& name, const Result<json::Value>& value) {
        if (!value) {
            miss(name, value.error().message);
        } else {
            add(name, json::serialize_pretty(*value));
        }
    }

    void miss(const std::string& what, const std::string& why) { missing_ += what + ": " + why + "\n"; }

    std::string finish() {
        if (!missing_.empty()) bytes_ += tar_entry(folder_ + "/MISSING.txt", missing_, now_s_);
        return bytes_ + tar_end();
    }

    size_t files() const { return files_; }
    const std::string& missing() const { return missing_; }

private:
    std::string folder_, bytes_, missing_;
    uint64_t now_s_;
    size_t files_ = 0;
};

std::string end_of_file(const std::string& path) {
    auto text = read_file(path);
    if (!text) return "(" + text.error().message + ")\n";
    if (text->size() <= log_bytes_max) return *text;
    const size_t line = text->find('\n', text->size() - log_bytes_max);
    return "(only its end)\n" + text->substr(line == std::string::npos ? text->size() - log_bytes_max : line + 1);
}

void add_logs(Archive& archive, const Instance& instance) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(instance.run_dir() + "/log", error))
        archive.add("logs/" + entry.path().filename().string(), end_of_file(entry.path()));
    if (error) archive.miss("logs", error.message());
}

void add_objects(Archive& archive, const Common& common) {
    const auto endpoint = find_endpoint(common);
    const auto kinds = endpoint ? kube::discover(*endpoint) : fail(endpoint.error());
    if (!kinds) {
        archive.miss("objects", kinds.error().message);
        return;
    }
    for (const kube::ServedKind& kind : *kinds) {
        const std::string name = fmt::format("objects/{}{}{}.json", kind.resource.plural, kind.resource.group.empty() ? "" : ".",
                                             kind.resource.group);
        const auto reply = kube::raw_request(*endpoint, "GET", kind.resource.path("", ""), "", "", "application/json");
        if (reply && reply->status == 405) continue;  // reviews and the like are not listed
        auto list = reply ? json::parse(reply->body) : fail(reply.error());
        if (list && list->is_object())
            if (auto* items = list->get_object().if_contains("items"); items != nullptr && items->is_array())
                for (json::Value& item : items->get_array()) {
                    if (item.is_object() && !json::has(item, {"kind"})) json::set(item, {"kind"}, json::Value(kind.resource.kind));
                    item = redacted(std::move(item));
                }
        archive.add(name, list);
    }
}

void add_networks(Archive& archive, const Instance& instance) {
    const auto names = kernel::Netns::list();
    if (!names) return archive.miss("networks", names.error().message);
    const std::string ours = instance.node_netns("");
    for (const std::string& name : *names) {
        if (!name.starts_with(ours) || name.starts_with(instance.pod_netns(""))) continue;
        std::string text;
        for (const char* what : {"-d addr", "-4 route show table all", "-6 route show table all", "-s link", "neigh"}) {
            std::vector<std::string> argv{"ip"};
            for (const std::string_view word : split(what, ' ')) argv.emplace_back(word);
            const auto output = run_in(instance, name, argv, command_timeout_s);
            text += fmt::format("# ip {}\n{}\n", what, output ? output->text : output.error().message);
        }
        archive.add("networks/" + name.substr(ours.size()) + ".txt", text);
    }
}

Result<std::string> pack(const Common& common, const std::string& file, const std::string& self_binary,
                         const std::string& version) {
    const Instance instance = TRY(find_instance(common));
    const std::time_t now = std::time(nullptr);
    char stamp[32];
    std::tm clock{};
    std::strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", gmtime_r(&now, &clock));
    const std::string folder = fmt::format("weft-{}-{}", instance.name(), stamp);
    Archive archive(folder);
    archive.add("version.json", version_view(version));
    archive.add("doctor.json", findings_view(judge(look_at_machine(instance, self_binary))));
    archive.add("status.json", status_view(instance));
    archive.add("drops.json", drops_view(instance));
    archive.add("maps.json", maps_view(instance));
    archive.add("conntrack.json", conntrack_view(instance, "", ""));
    add_objects(archive, common);
    add_networks(archive, instance);
    add_logs(archive, instance);
    const std::string bytes = archive.finish();
    if (file == "-") {
        if (isatty(1)) return fail(Code::invalid, "an archive is not for the terminal: weft bundle FILE.tar");
        if (::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) return fail_errno("write");
        return std::string();
    }
    const std::string path = file.empty() ? folder + ".tar" : file;
    TRY(write_file(path, bytes));
    fmt::print("{}: {} files, {} KiB; values of Secrets, tokens and keys are not in it\n", path, archive.files(),
               bytes.size() >> 10);
    if (!archive.missing().empty()) fmt::print(stderr, "not to be had (MISSING.txt):\n{}", archive.missing());
    return path;
}

template <class K, class V>
int64_t entries_of(const kernel::Map<K, V>& map) {
    const auto all = map.all();
    return all ? int64_t(all->size()) : -1;
}

template <class K, class V>
int64_t entries_of(const kernel::CountersMap<K, V>&) {
    return -1;
}

}  // namespace

Result<json::Value> maps_view(const Instance& instance) {
    json::Array list;
    for (const std::string& node : TRY(node_names(instance))) {
        const kernel::NodeMaps maps = TRY(maps_of_node(instance, node));
        const auto add = [&](const char* name, std::string_view type, int64_t entries, uint64_t capacity) {
            if (entries < 0 || type == "ARRAY") return;  // those are always full
            list.push_back(json::Object{{"node", node}, {"map", name}, {"entries", entries}, {"capacity", capacity}});
        };
#define X(row, type, key, value, entries, flags) add(#row, #type, entries_of(*maps.row), abi::row##_map::entries_max);
        WEFT_MAPS(X)
#undef X
    }
    return json::Value(std::move(list));
}

int bundle(const Common& common, const std::string& file, const std::string& self_binary, const std::string& version) {
    const auto packed = pack(common, file, self_binary, version);
    return packed ? 0 : report(packed.error());
}

}  // namespace weft::cli
