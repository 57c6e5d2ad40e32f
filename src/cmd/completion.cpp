#include "cmd/completion.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace weft::cmd {

static std::string options_of(const CLI::App& verb) {
    std::string words;
    for (const CLI::Option* option : verb.get_options())
        for (const std::string& name : option->get_lnames()) words += " --" + name;
    return words;
}

static constexpr const char* frame = R"bash(# source <(weft completion bash)
_weft() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} verb= options= names= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${{COMP_WORDS[i]}} != -* ]] && {{ verb=${{COMP_WORDS[i]}}; break; }}
    done
    case $before in
    -o | --output) COMPREPLY=($(compgen -W "table wide json yaml" -- "$word")); return ;;
    -f | --filename | --examples | -w | --write | --kubeconfig) COMPREPLY=($(compgen -f -- "$word")); return ;;
    -n | --namespace) COMPREPLY=($(compgen -W "$(weft get namespaces -o name 2>/dev/null)" -- "$word")); return ;;
    esac
    case $verb in
    "") COMPREPLY=($(compgen -W "{}" -- "$word")); return ;;
{}    esac
    case $verb in
    why | logs) names=$(weft get pods -o name 2>/dev/null) ;;
    exec | capture) names="internet fabric $(weft get nodes -o name 2>/dev/null) $(weft get pods -o name 2>/dev/null)" ;;
    completion) names=bash ;;
    esac
    if [[ $word == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$word")); else COMPREPLY=($(compgen -W "$names" -- "$word")); fi
}}
complete -o default -F _weft weft
)bash";

std::string bash_completion(const CLI::App& app) {
    std::string verbs, cases;
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (verb->get_group() != "Subcommands") continue;  // not the processes
        verbs += (verbs.empty() ? "" : " ") + verb->get_name();
        std::string options = options_of(*verb), subverbs;
        for (const CLI::App* sub : verb->get_subcommands([](const CLI::App*) { return true; })) {
            options += options_of(*sub);
            subverbs += (subverbs.empty() ? "" : " ") + sub->get_name();
        }
        cases += fmt::format("    {}) options=\"{}\"", verb->get_name(), options.substr(1));
        if (!subverbs.empty()) cases += fmt::format(" names=\"{}\"", subverbs);
        cases += " ;;\n";
    }
    return fmt::format(fmt::runtime(frame), verbs, cases);
}

}  // namespace weft::cmd
