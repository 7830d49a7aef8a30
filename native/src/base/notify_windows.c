/* SPDX-License-Identifier: MIT */
/* notify_windows.c: notify.h for Windows, where event loops watch sockets */
#ifdef _WIN32

#include <winsock2.h>

#include "base/notify.h"

void notify_send(int64_t descriptor) {
    const uint64_t one = 1;
    (void)send((SOCKET)descriptor, (const char *)&one, (int)sizeof one, 0);
}

#else
typedef int notify_windows_is_empty_elsewhere;
#endif
