// Images: what an image name stands for on this machine. Nothing is downloaded.
//
// Built in: `echo:demo` (weft echo) and `client` (sleeps; a shell of the host with curl, dig and nc). Others come from
// images.yaml in the instance's state folder, read again when it changes:
//   images:
//     redis:7: {command: [/usr/bin/redis-server], args: [--port, "6379"], env: {A: b}, workingDir: /tmp}
//     web:1:   {root: /srv/images/web, command: [/bin/web]}
// Errors: not_found for an unknown image, invalid for a bad table (naming the entry). Threads: values.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weft::runtime {

struct Image {
    std::string root;  // "" = the host's
    std::vector<std::string> command, args;
    std::vector<std::pair<std::string, std::string>> environment;
    std::string working_dir;
};

class ImageTable {
public:
    static Result<ImageTable> parse(std::string_view yaml, const std::string& self_binary);
    // An absent file is a table of the built-in images.
    static Result<ImageTable> read(const std::string& path, const std::string& self_binary);

    Result<Image> find(std::string_view name) const;  // "redis" is "redis:latest"

private:
    std::map<std::string, Image> images_;
};

}  // namespace weft::runtime
