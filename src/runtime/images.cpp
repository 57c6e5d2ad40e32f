#include "runtime/images.h"

#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"

namespace weft::runtime {

static std::string with_tag(std::string_view name) {
    const size_t slash = name.rfind('/');
    const bool tagged = name.find(':', slash == std::string_view::npos ? 0 : slash) != std::string_view::npos;
    return std::string(name) + (tagged ? "" : ":latest");
}

static Result<Image> image_of(const json::Value& entry) {
    Image image;
    image.root = json::find_string(entry, {"root"});
    image.command = json::find_strings(entry, {"command"});
    image.args = json::find_strings(entry, {"args"});
    image.working_dir = json::find_string(entry, {"workingDir"});
    if (const json::Object* environment = json::find_object(entry, {"env"}))
        for (const auto& [name, value] : *environment)
            image.environment.emplace_back(std::string(name), value.is_string()
                                                                  ? std::string(json::view(value.get_string()))
                                                                  : json::serialize(value));
    if (image.command.empty()) return fail(Code::invalid, "command: Required value");
    if (!image.root.empty() && !image.root.starts_with('/'))
        return fail(Code::invalid, "root: must be an absolute path");
    return image;
}

Result<ImageTable> ImageTable::parse(std::string_view yaml, const std::string& self_binary) {
    ImageTable table;
    table.images_["echo:demo"] = {
        .root = "", .command = {self_binary, "echo"}, .args = {}, .environment = {}, .working_dir = ""};
    table.images_["client:latest"] = {
        .root = "", .command = {"sleep", "infinity"}, .args = {}, .environment = {}, .working_dir = ""};
    const std::vector<json::Value> documents = TRY(json::parse_yaml(yaml));
    for (const json::Value& document : documents) {
        const json::Object* images = json::find_object(document, {"images"});
        if (images == nullptr) return fail(Code::invalid, "images: must be a mapping of names");
        for (const auto& [name, entry] : *images)
            table.images_[with_tag(std::string_view(name.data(), name.size()))] =
                TRY_IN(fmt::format("images[{}]", std::string_view(name.data(), name.size())), image_of(entry));
    }
    return table;
}

Result<ImageTable> ImageTable::read(const std::string& path, const std::string& self_binary) {
    const Result<std::string> text = read_file(path);
    if (!text && text.error().code != Code::not_found) return fail(text.error());
    return TRY_IN(path, parse(text ? *text : "", self_binary));
}

Result<Image> ImageTable::find(std::string_view name) const {
    const auto found = images_.find(with_tag(name));
    if (found == images_.end())
        return fail(Code::not_found, fmt::format("image \"{}\" is not in the local table", name));
    return found->second;
}

}  // namespace weft::runtime
