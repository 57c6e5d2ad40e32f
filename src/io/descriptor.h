// Descriptor: one descriptor with a short text, over a connected SEQPACKET socket: how a process that may open a socket
// somewhere hands it to one that may not.
//
// Errors: the system's; invalid for a packet without exactly one descriptor. Limits: text_bytes_max. Threads: any.
// Source: unix(7) SCM_RIGHTS.
#pragma once
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace weft::io {

inline constexpr size_t descriptor_text_bytes_max = 256;

struct NamedDescriptor {
    std::string text;
    Fd fd;
};

Status send_descriptor(int socket, std::string_view text, int fd);
// Waits for the packet.
Result<NamedDescriptor> receive_descriptor(int socket);

// Mode 0600 from its first moment; a file that was there is replaced.
Result<Fd> listen_for_descriptors(const std::string& path);
Result<Fd> connect_for_descriptors(const std::string& path);

}  // namespace weft::io
