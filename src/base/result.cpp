#include "base/result.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace weft {

std::string_view code_name(Code code) {
    switch (code) {
        case Code::invalid: return "invalid";
        case Code::not_found: return "not_found";
        case Code::already_exists: return "already_exists";
        case Code::conflict: return "conflict";
        case Code::gone: return "gone";
        case Code::denied: return "denied";
        case Code::timeout: return "timeout";
        case Code::unavailable: return "unavailable";
        case Code::exhausted: return "exhausted";
        case Code::io: return "io";
    }
    return "?";
}

Error Error::in(std::string_view doing) const {
    std::string text(doing);
    text += ": ";
    text += message;
    return Error{code, std::move(text)};
}

static Code code_of_errno(int error_number) {
    switch (error_number) {
        case ENOENT:
        case ENODEV:
        case ESRCH:
        case ENXIO: return Code::not_found;
        case EEXIST:
        case EADDRINUSE: return Code::already_exists;
        case EACCES:
        case EPERM: return Code::denied;
        case ETIMEDOUT: return Code::timeout;
        case EAGAIN:
        case ECONNREFUSED:
        case ECONNRESET:
        case EPIPE:
        case EBUSY: return Code::unavailable;
        case ENOSPC:
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case E2BIG: return Code::exhausted;
        case EINVAL: return Code::invalid;
        default: return Code::io;
    }
}

Error errno_error(int error_number, std::string_view doing) {
    char buffer[128];
    std::string text(doing);
    text += ": ";
    text += strerror_r(error_number, buffer, sizeof buffer);
    return Error{code_of_errno(error_number), std::move(text)};
}

std::unexpected<Error> fail_errno(std::string_view doing) { return std::unexpected(errno_error(errno, doing)); }

void ensure_failed(const char* condition, const char* file, int line, std::string_view why) {
    std::fprintf(stderr, "level=fatal msg=\"broken promise\" condition=\"%s\" file=%s line=%d why=\"%.*s\"\n", condition, file,
                 line, int(why.size()), why.data());
    std::abort();
}

}  // namespace weft
