/* SPDX-License-Identifier: MIT */
/* notify_posix.c: notify.h for every system but Windows */
#ifndef _WIN32

#include <errno.h>
#include <unistd.h>

#include "base/notify.h"

void notify_send(int64_t descriptor) {
    const uint64_t one = 1;
    ssize_t written;
    do { /* ends: a signal interrupts at most once for each that is delivered */
        written = write((int)descriptor, &one, sizeof one);
    } while (written < 0 && errno == EINTR);
}

#else
typedef int notify_posix_is_empty_on_windows;
#endif
