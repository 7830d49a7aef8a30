/* SPDX-License-Identifier: MIT */
/* os_macos.c: os_posix.h for macOS; compiled, but no machine has run it yet */
#ifdef __APPLE__

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "os_posix.h"

enum { SECTOR_GUESS = 4096 };

int posix_direct_flag(void) { return 0; }

int posix_make_direct(int descriptor) {
    return fcntl(descriptor, F_NOCACHE, 1) < 0 ? -errno : 0;
}

/*
 * fsync here only hands the bytes to the disk, which may keep them in its own memory;
 * F_FULLFSYNC waits until they are on the medium.  File systems that are not the
 * machine's own (network, FAT) do not know it; there fsync is all there is, and what it
 * promises against a power cut is the server's business.
 */
int posix_sync(int descriptor) {
    if (fcntl(descriptor, F_FULLFSYNC) == 0) {
        return 0;
    }
    if (errno != ENOTSUP && errno != EINVAL && errno != ENOTTY) {
        return -errno;
    }
    return fsync(descriptor) == 0 ? 0 : -errno;
}

void posix_begin_writing(int descriptor, uint64_t position, uint64_t length) {
    (void)descriptor; /* there is no such call */
    (void)position;
    (void)length;
}

int posix_allocate(int descriptor, uint64_t size) {
    fstore_t wanted = {
        .fst_flags = F_ALLOCATEALL,
        .fst_posmode = F_PEOFPOSMODE,
        .fst_length = (off_t)size,
    };
    return fcntl(descriptor, F_PREALLOCATE, &wanted) == 0 ? 0 : -errno;
}

int posix_align(int descriptor, const struct stat *found,
                struct os_alignment *alignment) {
    (void)descriptor;
    /* F_NOCACHE takes any range, but only page-wise ones avoid the cache. */
    alignment->transfer = SECTOR_GUESS;
    uint64_t block = (uint64_t)found->st_blksize;
    bool usable = block >= SECTOR_GUESS && block <= 65536 && (block & (block - 1)) == 0;
    alignment->sector = usable ? (uint32_t)block : SECTOR_GUESS;
    return 0;
}

int posix_condition_init(pthread_cond_t *condition) {
    return -pthread_cond_init(condition, NULL);
}

void posix_condition_sleep(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           uint32_t timeout_ms) {
    /* Relative, so that setting the clock neither stretches nor ends it. */
    const struct timespec span = {
        .tv_sec = (time_t)(timeout_ms / 1000u),
        .tv_nsec = (long)(timeout_ms % 1000u) * 1000000L,
    };
    (void)pthread_cond_timedwait_relative_np(condition, mutex, &span);
}

#else
typedef int os_macos_is_empty_elsewhere;
#endif
