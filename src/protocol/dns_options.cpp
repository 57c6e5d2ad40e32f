#include "protocol/dns_options.h"

#include "base/strings.h"

namespace weft::protocol {

Status DnsOptions::check() const {
    if (ttl_s > ttl_max_s) return fail(Code::invalid, "--dns-ttl: must be 0 to 3600 seconds");
    if (policy != "sequential" && policy != "round-robin" && policy != "random")
        return fail(Code::invalid, "--dns-policy: must be sequential, round-robin or random");
    return {};
}

std::vector<std::string> DnsOptions::arguments() const {
    static const DnsOptions defaults;
    std::vector<std::string> list;
    const auto add = [&list](const char* flag, std::string value) {
        list.emplace_back(flag);
        list.push_back(std::move(value));
    };
    if (!upstream.empty()) add("--dns-upstream", upstream);
    if (policy != defaults.policy) add("--dns-policy", policy);
    if (ttl_s != defaults.ttl_s) add("--dns-ttl", std::to_string(ttl_s));
    if (answers_per_second != defaults.answers_per_second) add("--dns-rate-limit", std::to_string(answers_per_second));
    return list;
}

std::string DnsOptions::text() const {
    std::string text;
    for (const std::string& argument : arguments()) text += argument + "\n";
    return text;
}

DnsOptions DnsOptions::parse(std::string_view text) {
    DnsOptions options;
    const std::vector<std::string_view> lines = split(text, '\n');
    for (size_t i = 0; i + 1 < lines.size(); i += 2) {
        const std::string value(trim(lines[i + 1]));
        const auto number = parse_unsigned(value);
        if (lines[i] == "--dns-upstream") options.upstream = value;
        if (lines[i] == "--dns-policy") options.policy = value;
        if (lines[i] == "--dns-ttl" && number) options.ttl_s = unsigned(*number);
        if (lines[i] == "--dns-rate-limit" && number) options.answers_per_second = uint32_t(*number);
    }
    return options;
}

}  // namespace weft::protocol
