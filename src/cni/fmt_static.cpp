// Debian ships libfmt as a shared library only, and weft-cni is linked statically: this is fmt's compiled part, taken
// by the linker only where no libfmt stands behind us.
#include <fmt/format-inl.h>

template fmt::detail::thousands_sep_result<char> fmt::detail::thousands_sep_impl<char>(fmt::detail::locale_ref);
template char fmt::detail::decimal_point_impl<char>(fmt::detail::locale_ref);
