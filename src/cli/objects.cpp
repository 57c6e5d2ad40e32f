// The thin Kubernetes verbs: apply, get, delete, logs. Everything they know about kinds comes from discovery, and tables
// are the server's own.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <iterator>

#include "base/fd.h"
#include "cli/verbs.h"
#include "kube/apply.h"
#include "kube/discovery.h"

namespace weft::cli {

namespace {

struct Session {
    kube::Endpoint endpoint;
    std::unique_ptr<kube::Client> client;
    std::vector<kube::ServedKind> kinds;
};

Result<Session> open_session(const Common& common) {
    Session session;
    session.endpoint = TRY(find_endpoint(common));
    session.client = kube::connect(session.endpoint);
    session.kinds = TRY(kube::discover(session.endpoint));
    return session;
}

Result<std::string> read_stdin() {
    std::string text;
    char buffer[16384];
    size_t n = 0;
    while ((n = std::fread(buffer, 1, sizeof buffer, stdin)) > 0) text.append(buffer, n);
    return text;
}

// Files, folders (their *.yaml, sorted) and "-".
Result<std::vector<std::string>> read_manifest_texts(const std::vector<std::string>& paths) {
    std::vector<std::string> texts;
    for (const std::string& path : paths) {
        if (path == "-") {
            texts.push_back(TRY(read_stdin()));
            continue;
        }
        if (!std::filesystem::is_directory(path)) {
            texts.push_back(TRY(read_file(path)));
            continue;
        }
        std::vector<std::string> files;
        for (const auto& entry : std::filesystem::directory_iterator(path))
            if (entry.path().extension() == ".yaml" || entry.path().extension() == ".json") files.push_back(entry.path());
        std::sort(files.begin(), files.end());
        for (const std::string& file : files) texts.push_back(TRY(read_file(file)));
    }
    return texts;
}

Status do_apply(const Common& common, const std::vector<std::string>& files) {
    Session session = TRY(open_session(common));
    for (const std::string& text : TRY(read_manifest_texts(files))) {
        TRY(kube::apply_yaml(*session.client, session.kinds, text, common.ns,
                             [](const kube::Object& object, kube::Applied result) {
                                 static const char* const words[] = {"created", "configured", "unchanged"};
                                 fmt::print("{}/{} {}\n", object.kind(), object.name(), words[size_t(result)]);
                             }));
    }
    return {};
}

// A server-side Table as aligned text; columns with a priority are for -o wide.
void print_table(const json::Value& table, bool wide) {
    std::vector<std::vector<std::string>> rows(1);
    std::vector<size_t> columns;
    const json::Array* definitions = json::find_array(table, {"columnDefinitions"});
    if (definitions == nullptr) return;
    for (size_t i = 0; i < definitions->size(); i++) {
        if (!wide && json::find_int((*definitions)[i], {"priority"}) > 0) continue;
        columns.push_back(i);
        std::string title(json::find_string((*definitions)[i], {"name"}));
        for (char& c : title) c = char(std::toupper(c));
        rows[0].push_back(title);
    }
    if (const json::Array* list = json::find_array(table, {"rows"})) {
        for (const json::Value& row : *list) {
            const json::Array* cells = json::find_array(row, {"cells"});
            rows.emplace_back();
            for (const size_t i : columns) {
                if (cells == nullptr || i >= cells->size()) continue;
                const json::Value& cell = (*cells)[i];
                rows.back().push_back(cell.is_string() ? std::string(json::view(cell.get_string())) : json::serialize(cell));
            }
        }
    }
    std::vector<size_t> widths(columns.size());
    for (const auto& row : rows)
        for (size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], row[i].size());
    for (const auto& row : rows) {
        std::string line;
        for (size_t i = 0; i < row.size(); i++)
            line += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}   ", row[i], widths[i]);
        fmt::print("{}\n", line);
    }
}

Status print_reply(const Common& common, const json::Value& body) {
    if (common.output == "json") {
        fmt::print("{}", json::serialize_pretty(body));
    } else if (common.output == "yaml") {
        fmt::print("{}", json::to_yaml(body));
    } else if (common.output == "name") {
        const json::Array* items = json::find_array(body, {"items"});
        if (items == nullptr) {
            fmt::print("{}\n", json::find_string(body, {"metadata", "name"}));
            return {};
        }
        for (const json::Value& item : *items) fmt::print("{}\n", json::find_string(item, {"metadata", "name"}));
    } else {
        print_table(body, common.output == "wide");
    }
    return {};
}

Error error_of(const kube::RawReply& reply) {
    const auto status = json::parse(reply.body);
    const std::string text = status ? std::string(json::find_string(*status, {"message"})) : "";
    const Code code = reply.status == 404 ? Code::not_found : reply.status == 403 || reply.status == 401 ? Code::denied : Code::invalid;
    return {code, text.empty() ? fmt::format("the server answered HTTP {}", reply.status) : text};
}

Status do_get(const Common& common, const std::string& what, const std::string& name, bool all_namespaces) {
    const Session session = TRY(open_session(common));
    for (size_t at = 0; at <= what.size();) {  // "pods,svc,ing": one table each
        const size_t comma = std::min(what.find(',', at), what.size());
        const kube::Resource resource = TRY(kube::find_by_name(session.kinds, what.substr(at, comma - at)));
        at = comma + 1;
        const bool table = common.output.empty() || common.output == "table" || common.output == "wide";
        const std::string path = resource.path(resource.namespaced && !all_namespaces ? common.ns : "", name);
        const kube::RawReply reply =
            TRY(kube::raw_request(session.endpoint, "GET", path, "", "",
                                  table ? "application/json;as=Table;v=v1;g=meta.k8s.io" : "application/json"));
        if (reply.status == 404 && !name.empty())
            return fail(Code::not_found, fmt::format("{}; there are: weft get {}{}", error_of(reply).message, what,
                                                     resource.namespaced ? " -A" : ""));
        if (reply.status != 200) return fail(error_of(reply));
        TRY(print_reply(common, TRY(json::parse(reply.body))));
        if (at <= what.size()) fmt::print("\n");
    }
    return {};
}

Status remove_object(Session& session, const kube::Resource& resource, const kube::ObjectKey& key) {
    TRY(session.client->remove(resource, key));
    fmt::print("{} \"{}\" deleted\n", resource.kind, key.name);
    return {};
}

Status do_remove(const Common& common, const std::vector<std::string>& files, const std::string& what, const std::string& name) {
    Session session = TRY(open_session(common));
    if (!what.empty()) {
        const kube::Resource resource = TRY(kube::find_by_name(session.kinds, what));
        if (name.empty()) return fail(Code::invalid, fmt::format("delete which? weft get {0}, then: weft delete {0} NAME", what));
        return remove_object(session, resource, {resource.namespaced ? common.ns : "", name});
    }
    for (const std::string& text : TRY(read_manifest_texts(files))) {
        auto objects = TRY(kube::read_manifests(text));
        for (auto object = objects.rbegin(); object != objects.rend(); ++object) {
            const kube::Resource resource = TRY(kube::find_by_kind(session.kinds, object->api_version(), object->kind()));
            const std::string ns(object->ns().empty() ? std::string_view(common.ns) : object->ns());
            const Status done = remove_object(session, resource, {resource.namespaced ? ns : "", std::string(object->name())});
            if (!done && done.error().code != Code::not_found) return done;
        }
    }
    return {};
}

Status do_logs(const Common& common, const std::string& pod, const std::string& container, bool follow, int64_t tail) {
    const kube::Endpoint endpoint = TRY(find_endpoint(common));
    std::string path = kube::pods.path(common.ns, pod) + "/log?follow=" + (follow ? "true" : "false");
    if (!container.empty()) path += "&container=" + container;
    if (tail >= 0) path += fmt::format("&tailLines={}", tail);
    const kube::RawReply reply = TRY(kube::raw_request(endpoint, "GET", path, "", "", "*/*", {}, [](std::string_view chunk) {
        std::fwrite(chunk.data(), 1, chunk.size(), stdout);
        return std::fflush(stdout) == 0;
    }));
    if (reply.status == 404)
        return fail(Code::not_found, fmt::format("{}; there are: weft get pods -n {}", error_of(reply).message, common.ns));
    if (reply.status != 200) return fail(error_of(reply));
    return {};
}

int finish(const Status& status) { return status ? 0 : report(status.error()); }

}  // namespace

int apply(const Common& common, const std::vector<std::string>& files) { return finish(do_apply(common, files)); }

int get(const Common& common, const std::string& what, const std::string& name, bool all_namespaces) {
    return finish(do_get(common, what, name, all_namespaces));
}

int remove(const Common& common, const std::vector<std::string>& files, const std::string& what, const std::string& name) {
    return finish(do_remove(common, files, what, name));
}

int logs(const Common& common, const std::string& pod, const std::string& container, bool follow, int64_t tail) {
    return finish(do_logs(common, pod, container, follow, tail));
}

}  // namespace weft::cli
