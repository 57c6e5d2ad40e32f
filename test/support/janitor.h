// Janitor: cleans up after a test process however it ended. A child that waits for the end of its parent, lets go of the
// output (whoever reads that waits for its end), and then does what it was given. Threads: before any is started.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include "base/result.h"

namespace weft::test {

template <class CleanUp>
void when_this_process_is_gone(CleanUp clean_up) {
    int ends[2];
    ENSURE(::pipe2(ends, O_CLOEXEC) == 0);
    const pid_t child = ::fork();
    ENSURE(child >= 0);
    if (child != 0) {
        ::close(ends[0]);  // ends[1] stays open until this process is gone
        return;
    }
    ::setsid();
    ::close(ends[1]);
    const int null = ::open("/dev/null", O_RDWR);
    for (const int fd : {0, 1, 2}) ::dup2(null, fd);
    char byte = 0;
    while (::read(ends[0], &byte, 1) > 0) {}
    clean_up();
    ::_exit(0);
}

}  // namespace weft::test
