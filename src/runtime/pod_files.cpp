#include "runtime/pod_files.h"

#include <algorithm>

#include "base/strings.h"
#include "runtime/plan.h"

namespace weft::runtime {

namespace {

constexpr std::string_view cluster_domain = "cluster.local";

struct Resolver {
    std::vector<std::string> nameservers, searches;
    std::vector<std::pair<std::string, std::string>> options;  // name, value or ""

    void add_nameserver(std::string_view address) { add_new(nameservers, address); }
    void add_search(std::string_view domain) { add_new(searches, domain); }

    void set_option(std::string_view name, std::string_view value) {
        for (auto& [known, old] : options)
            if (known == name) return void(old = value);
        options.emplace_back(name, value);
    }

    std::string text() const {
        std::string text;
        for (size_t i = 0; i < std::min(nameservers.size(), nameservers_max); i++)
            text += "nameserver " + nameservers[i] + "\n";
        std::string line;
        for (size_t i = 0; i < std::min(searches.size(), searches_max); i++) line += " " + searches[i];
        if (!line.empty()) text += "search" + line + "\n";
        line.clear();
        for (const auto& [name, value] : options) line += " " + name + (value.empty() ? "" : ":" + value);
        if (!line.empty()) text += "options" + line + "\n";
        return text;
    }

private:
    static void add_new(std::vector<std::string>& list, std::string_view entry) {
        if (std::find(list.begin(), list.end(), entry) == list.end()) list.emplace_back(entry);
    }
};

Resolver parse_resolv_conf(std::string_view text) {
    Resolver resolver;
    for (const std::string_view line : split(text, '\n')) {
        std::vector<std::string_view> words;
        for (const std::string_view word : split(line, ' '))
            if (!trim(word).empty()) words.push_back(trim(word));
        for (size_t i = 1; i < words.size(); i++) {
            const size_t colon = words[i].find(':');
            if (words[0] == "nameserver") resolver.add_nameserver(words[i]);
            if (words[0] == "search") resolver.add_search(words[i]);
            if (words[0] == "options")
                resolver.set_option(words[i].substr(0, colon),
                                    colon == std::string_view::npos ? "" : words[i].substr(colon + 1));
        }
    }
    return resolver;
}

}  // namespace

std::string resolv_conf(const kube::Object& pod, const DnsInputs& inputs) {
    const std::string_view policy = pod.string({"spec", "dnsPolicy"}, "ClusterFirst");
    Resolver resolver;
    if (policy == "Default" || (policy != "None" && inputs.cluster_dns.empty())) {
        resolver = parse_resolv_conf(inputs.node_resolv_conf);
    } else if (policy != "None") {
        resolver.add_nameserver(inputs.cluster_dns);
        resolver.add_search(fmt::format("{}.svc.{}", inputs.dns_namespace, cluster_domain));
        resolver.add_search(fmt::format("svc.{}", cluster_domain));
        resolver.add_search(cluster_domain);
        resolver.set_option("ndots", "5");
    }
    if (const json::Value* config = pod.find({"spec", "dnsConfig"})) {
        for (const std::string& address : json::find_strings(*config, {"nameservers"}))
            resolver.add_nameserver(address);
        for (const std::string& domain : json::find_strings(*config, {"searches"})) resolver.add_search(domain);
        if (const json::Array* options = json::find_array(*config, {"options"}))
            for (const json::Value& option : *options)
                resolver.set_option(json::find_string(option, {"name"}), json::find_string(option, {"value"}));
    }
    return resolver.text();
}

std::string hosts_file(const kube::Object& pod, const std::vector<std::string>& pod_ips,
                       const std::string& dns_namespace) {
    std::string text =
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nff02::1\tip6-allnodes\n"
        "ff02::2\tip6-allrouters\n";
    const std::string hostname = pod_hostname(pod);
    const std::string_view subdomain = pod.string({"spec", "subdomain"});
    for (const std::string& pod_ip : pod_ips) {
        text += pod_ip + "\t";
        if (!subdomain.empty())
            text += fmt::format("{}.{}.{}.svc.{}\t", hostname, subdomain, dns_namespace, cluster_domain);
        text += hostname + "\n";
    }
    for (const json::Value& alias : pod.array({"spec", "hostAliases"})) {
        text += json::find_string(alias, {"ip"});
        for (const std::string& name : json::find_strings(alias, {"hostnames"})) text += "\t" + name;
        text += "\n";
    }
    return text;
}

}  // namespace weft::runtime
