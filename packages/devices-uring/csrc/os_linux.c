/* SPDX-License-Identifier: MIT */
/* os_linux.c: os_posix.h for Linux */
#ifdef __linux__
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "os_posix.h"

enum { SECTOR_MIN = 512, SECTOR_GUESS = 4096 };

int posix_direct_flag(void) { return O_DIRECT; }

int posix_make_direct(int descriptor) {
    (void)descriptor; /* open() did it */
    return 0;
}

int posix_sync(int descriptor) { return fdatasync(descriptor) == 0 ? 0 : -errno; }

void posix_begin_writing(int descriptor, uint64_t position, uint64_t length) {
    /* Errors are the sync's to tell: this call takes none of them away. */
    (void)sync_file_range(descriptor, (off_t)position, (off_t)length,
                          SYNC_FILE_RANGE_WRITE);
}

int posix_allocate(int descriptor, uint64_t size) {
    return fallocate(descriptor, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) == 0 ? 0 : -errno;
}

static uint32_t power_of_two_or(uint64_t value, uint32_t otherwise) {
    bool fits = value != 0 && (value & (value - 1)) == 0 && value <= (1u << 30);
    return fits ? (uint32_t)value : otherwise;
}

/* statx as the kernel fills it.  Declared here, because the headers of the oldest
 * systems that are built on know neither it nor the two fields wanted. */
struct kernel_statx {
    uint32_t mask;
    uint32_t unwanted_first[37];
    uint32_t direct_memory; /* 0 with its bit set: no direct transfers */
    uint32_t direct_offset;
    uint32_t unwanted_last[24];
};

_Static_assert(sizeof(struct kernel_statx) == 256, "what the kernel writes");

#ifndef SYS_statx
#define SYS_statx -1
#endif

enum { WANT_DIRECT_ALIGNMENT = 0x2000 };

/* Ask what direct transfers need: 1 when the file system said it, 0 when it is too old
 * for the question, negative when it has none. */
static int ask_direct(int descriptor, uint32_t *transfer) {
    struct kernel_statx found;
    memset(&found, 0, sizeof found);
    long result = syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH,
                          WANT_DIRECT_ALIGNMENT, &found);
    if (result != 0 || (found.mask & WANT_DIRECT_ALIGNMENT) == 0) {
        return 0;
    }
    if (found.direct_memory == 0 || found.direct_offset == 0) {
        return -EINVAL;
    }
    uint32_t larger = found.direct_memory > found.direct_offset ? found.direct_memory
                                                                : found.direct_offset;
    *transfer = power_of_two_or(larger, SECTOR_GUESS);
    return 1;
}

/* Add a text to a path that has room; returns the new end. */
static char *append(char *end, const char *text) {
    size_t length = strlen(text);
    memcpy(end, text, length + 1);
    return end + length;
}

static char *append_number(char *end, uint32_t number) {
    char digits[11];
    char *at = digits + sizeof digits - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    return append(end, at);
}

/* Read one number from a file that the kernel makes up; 0 when it cannot be had. */
static uint64_t read_number(const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return 0;
    }
    char text[32];
    ssize_t size = read(descriptor, text, sizeof text);
    (void)close(descriptor);
    uint64_t value = 0;
    for (ssize_t i = 0; i < size && text[i] >= '0' && text[i] <= '9'; i++) {
        value = 10 * value + (uint64_t)(text[i] - '0');
    }
    return value;
}

/* What the disk below writes as one; a partition finds it at its disk. */
static uint32_t sector_of(dev_t device) {
    static const char *const places[] = {"/queue/", "/../queue/"};
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
        char path[96];
        char *end = append_number(append(path, "/sys/dev/block/"), major(device));
        end = append_number(append(end, ":"), minor(device));
        end = append(end, places[i]);
        (void)append(end, "physical_block_size");
        uint32_t sector = power_of_two_or(read_number(path), 0);
        if (sector != 0) {
            return sector < SECTOR_MIN ? SECTOR_MIN : sector;
        }
    }
    return 0;
}

int posix_align(int descriptor, const struct stat *found,
                struct os_alignment *alignment) {
    int flags = fcntl(descriptor, F_GETFL);
    uint32_t transfer = 0;
    int asked = ask_direct(descriptor, &transfer);
    alignment->transfer = 0;
    if (flags >= 0 && (flags & O_DIRECT) != 0) {
        if (asked < 0) {
            return asked;
        }
        alignment->transfer = asked > 0 ? transfer : SECTOR_GUESS;
    }
    uint32_t sector = sector_of(found->st_dev);
    if (sector == 0) {
        sector = asked > 0 && transfer >= SECTOR_MIN ? transfer : SECTOR_GUESS;
    }
    alignment->sector = sector;
    return 0;
}

int posix_condition_init(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);
    if (error != 0) {
        return -error;
    }
    /* Not the wall clock: setting that would stretch or end every wait. */
    error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (error == 0) {
        error = pthread_cond_init(condition, &attributes);
    }
    (void)pthread_condattr_destroy(&attributes);
    return -error;
}

void posix_condition_sleep(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           uint32_t timeout_ms) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000u);
    until.tv_nsec += (long)(timeout_ms % 1000u) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    (void)pthread_cond_timedwait(condition, mutex, &until);
}

#else
typedef int os_linux_is_empty_elsewhere;
#endif
