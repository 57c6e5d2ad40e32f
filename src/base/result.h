// Result<T>: a value, or an Error that says what went wrong, outside-in: "cni add web-0: attach pod_egress: ENOENT".
//
// Outside input and the kernel fail with an Error; a broken promise of our own is ENSURE and aborts, in release too.
// No exception crosses one of our functions. Threads: values only.
#pragma once
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace weft {

// The few kinds of failure, in the field's words. Tables map them to HTTP status (apiserver), CNI code (cni), exit code (cli).
enum class Code : uint8_t {
    invalid,         // the input is wrong and will stay wrong
    not_found,       //
    already_exists,  //
    conflict,        // someone else changed it first; look again
    gone,            // history no longer reaches that far; list again
    denied,          //
    timeout,         //
    unavailable,     // not now; try again
    exhausted,       // a named limit is reached
    io,              // the operating system said no
};
std::string_view code_name(Code code);

struct Error {
    Code code;
    std::string message;

    // Adds what we were doing when it happened, in front.
    Error in(std::string_view doing) const;
};

// "bind 10.0.0.1:53: Address already in use"; ENOENT → not_found, EEXIST → already_exists, EACCES/EPERM → denied,
// ETIMEDOUT → timeout, EAGAIN/ECONNREFUSED → unavailable, ENOSPC/EMFILE/ENOMEM/E2BIG → exhausted, EINVAL → invalid, else io.
Error errno_error(int error_number, std::string_view doing);

template <class T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

inline std::unexpected<Error> fail(Code code, std::string message) {
    return std::unexpected(Error{code, std::move(message)});
}

inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

// Uses errno as it is now.
std::unexpected<Error> fail_errno(std::string_view doing);

[[noreturn]] void ensure_failed(const char* condition, const char* file, int line, std::string_view why);

}  // namespace weft

// TRY(expr): the value of a Result, or return its error from the enclosing function.
#define TRY(...)                                              \
    ({                                                        \
        auto&& try_result_ = (__VA_ARGS__);                   \
        if (!try_result_.has_value()) [[unlikely]]            \
            return std::unexpected(std::move(try_result_).error()); \
        std::move(try_result_).value();                       \
    })

// TRY_IN("reading x", expr): the same, with context added in front of the error.
#define TRY_IN(doing, ...)                                    \
    ({                                                        \
        auto&& try_result_ = (__VA_ARGS__);                   \
        if (!try_result_.has_value()) [[unlikely]]            \
            return std::unexpected(try_result_.error().in(doing)); \
        std::move(try_result_).value();                       \
    })

// MUST(expr): the value; an error here is a bug of ours.
#define MUST(...)                                             \
    ({                                                        \
        auto&& must_result_ = (__VA_ARGS__);                  \
        if (!must_result_.has_value()) [[unlikely]]           \
            ::weft::ensure_failed(#__VA_ARGS__, __FILE__, __LINE__, must_result_.error().message); \
        std::move(must_result_).value();                      \
    })

#define ENSURE(cond)                                          \
    do {                                                      \
        if (!(cond)) [[unlikely]]                             \
            ::weft::ensure_failed(#cond, __FILE__, __LINE__, ""); \
    } while (0)
