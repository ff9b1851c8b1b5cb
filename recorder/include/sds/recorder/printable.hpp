// Text of strangers (stream names, errors of devices) as a log may show it.
#pragma once

#include <string>
#include <string_view>

namespace sds {

/// `text` with everything written out that a terminal obeys, that ends a line, or that turns its direction: control
/// characters (C0, DEL, C1), line separators and bidirectional controls, and bytes that are no UTF-8, as `\n`, `\x1b`
/// or `\u{202e}`. The rest is unchanged.
std::string printable(std::string_view text);

}  // namespace sds
