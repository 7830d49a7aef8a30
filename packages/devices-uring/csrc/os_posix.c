/* SPDX-License-Identifier: MIT */
/* os_posix.c: os.h by POSIX calls, for every system but Windows */
#ifndef _WIN32
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h> /* renameat */
#include <time.h>
#include <unistd.h>

#include "os_posix.h"

/* Smaller writes come one behind the other, and are better begun together. */
enum { BEGIN_AT_LEAST = 64 << 10 };

static int outcome(int result) { return result < 0 ? -errno : 0; }

/* ---- opening ----------------------------------------------------------------------
 */

/* Move a descriptor out of the places of the standard streams (os.h I2): what a
 * program prints must never end up in the log. */
static int above_streams(int descriptor, os_file *file) {
    if (descriptor > STDERR_FILENO) {
        *file = descriptor;
        return 0;
    }
    int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int status = outcome(moved);
    (void)close(descriptor);
    if (status == 0) {
        *file = moved;
    }
    return status;
}

static int open_at(os_file parent, const char *name, int flags, os_file *file) {
    int from = parent == OS_NOWHERE ? AT_FDCWD : (int)parent;
    int descriptor;
    do {
        descriptor = openat(from, name, flags | O_CLOEXEC, 0600);
    } while (descriptor < 0 && errno == EINTR);
    return descriptor < 0 ? -errno : above_streams(descriptor, file);
}

static int posix_open_directory(const struct os *os, os_file parent, const char *name,
                                os_file *directory) {
    (void)os;
    /* Only the path that the user gave may lead through symbolic links (os.h I1). */
    int follow = parent == OS_NOWHERE ? 0 : O_NOFOLLOW;
    return open_at(parent, name, O_RDONLY | O_DIRECTORY | follow, directory);
}

static int posix_make_directory(const struct os *os, os_file parent, const char *name) {
    (void)os;
    int from = parent == OS_NOWHERE ? AT_FDCWD : (int)parent;
    return outcome(mkdirat(from, name, 0700));
}

static int posix_open_file(const struct os *os, os_file directory, const char *name,
                           uint32_t flags, os_file *file) {
    /* Without O_NONBLOCK a fifo under our name would hold the opener for ever. */
    int how = O_NOFOLLOW | O_NONBLOCK;
    how |= (flags & OS_READ) != 0 ? O_RDONLY : O_RDWR;
    how |= (flags & OS_CREATE) != 0 ? O_CREAT | O_EXCL : 0;
    how |= (flags & OS_DIRECT) != 0 ? posix_direct_flag() : 0;
    os_file opened;
    int status = open_at(directory, name, how, &opened);
    if (status != 0) {
        return status;
    }
    if ((flags & OS_DIRECT) != 0) {
        status = posix_make_direct((int)opened);
    }
    if (status != 0) {
        (void)os->close_file(os, opened);
        return status;
    }
    *file = opened;
    return 0;
}

static int posix_close_file(const struct os *os, os_file file) {
    (void)os;
    int status = outcome(close((int)file));
    return status == -EINTR ? 0 : status; /* it is closed; a second try hits others */
}

/* ---- directories ------------------------------------------------------------------
 */

static int posix_sync_directory(const struct os *os, os_file directory) {
    (void)os;
    return posix_sync((int)directory);
}

static int posix_list_directory(const struct os *os, os_file directory,
                                void (*each)(void *context, const char *name),
                                void *context) {
    os_file copy; /* closedir closes what it was given; dup would share the position */
    int status = posix_open_directory(os, directory, ".", &copy);
    if (status != 0) {
        return status;
    }
    DIR *stream = fdopendir((int)copy);
    if (stream == NULL) {
        status = -errno;
        (void)os->close_file(os, copy);
        return status;
    }
    errno = 0;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL; errno = 0) {
        each(context, entry->d_name);
    }
    status = -errno;
    (void)closedir(stream);
    return status;
}

static int posix_rename_file(const struct os *os, os_file directory, const char *from,
                             const char *to) {
    (void)os;
    return outcome(renameat((int)directory, from, (int)directory, to));
}

static int posix_remove_file(const struct os *os, os_file directory, const char *name) {
    (void)os;
    return outcome(unlinkat((int)directory, name, 0));
}

/* ---- files ------------------------------------------------------------------------
 */

static int posix_measure_file(const struct os *os, os_file file,
                              struct os_measure *measure) {
    (void)os;
    struct stat found;
    if (fstat((int)file, &found) != 0) {
        return -errno;
    }
    measure->size = (uint64_t)found.st_size;
    measure->plain = S_ISREG(found.st_mode) && found.st_nlink == 1;
    measure->gone = S_ISREG(found.st_mode) && found.st_nlink == 0;
    return 0;
}

static int posix_align_file(const struct os *os, os_file file,
                            struct os_alignment *alignment) {
    (void)os;
    struct stat found;
    if (fstat((int)file, &found) != 0) {
        return -errno;
    }
    return posix_align((int)file, &found, alignment);
}

static int posix_allocate_file(const struct os *os, os_file file, uint64_t size) {
    (void)os;
    return posix_allocate((int)file, size);
}

static int posix_resize_file(const struct os *os, os_file file, uint64_t size) {
    (void)os;
    return outcome(ftruncate((int)file, (off_t)size));
}

/* What one call takes on every system; the caller goes on with the rest. */
static size_t one_call(uint64_t length) {
    const uint64_t most = 1u << 30;
    return (size_t)(length < most ? length : most);
}

static int64_t posix_read_file(const struct os *os, os_file file, void *buffer,
                               uint64_t length, uint64_t position) {
    (void)os;
    ssize_t moved = pread((int)file, buffer, one_call(length), (off_t)position);
    return moved < 0 ? -errno : moved;
}

static int64_t posix_write_file(const struct os *os, os_file file, const void *buffer,
                                uint64_t length, uint64_t position) {
    (void)os;
    ssize_t moved = pwrite((int)file, buffer, one_call(length), (off_t)position);
    if (moved < 0) {
        return -errno;
    }
    if (moved >= BEGIN_AT_LEAST) {
        posix_begin_writing((int)file, position, (uint64_t)moved);
    }
    return moved;
}

static int posix_sync_file(const struct os *os, os_file file) {
    (void)os;
    return posix_sync((int)file);
}

const struct os *os_system(void) {
    static const struct os table = {
        .make_directory = posix_make_directory,
        .open_directory = posix_open_directory,
        .sync_directory = posix_sync_directory,
        .list_directory = posix_list_directory,
        .open_file = posix_open_file,
        .rename_file = posix_rename_file,
        .remove_file = posix_remove_file,
        .close_file = posix_close_file,
        .measure_file = posix_measure_file,
        .align_file = posix_align_file,
        .allocate_file = posix_allocate_file,
        .resize_file = posix_resize_file,
        .read_file = posix_read_file,
        .write_file = posix_write_file,
        .sync_file = posix_sync_file,
    };
    return &table;
}

/* ---- threads ----------------------------------------------------------------------
 */

int os_lock_init(struct os_lock *lock) {
    return -pthread_mutex_init(&lock->word, NULL);
}

void os_lock_destroy(struct os_lock *lock) { (void)pthread_mutex_destroy(&lock->word); }

void os_lock_enter(struct os_lock *lock) { (void)pthread_mutex_lock(&lock->word); }

void os_lock_leave(struct os_lock *lock) { (void)pthread_mutex_unlock(&lock->word); }

int os_condition_init(struct os_condition *condition) {
    return posix_condition_init(&condition->word);
}

void os_condition_destroy(struct os_condition *condition) {
    (void)pthread_cond_destroy(&condition->word);
}

void os_condition_wait(struct os_condition *condition, struct os_lock *lock,
                       uint32_t timeout_ms) {
    if (timeout_ms == OS_FOREVER) {
        (void)pthread_cond_wait(&condition->word, &lock->word);
    } else {
        posix_condition_sleep(&condition->word, &lock->word, timeout_ms);
    }
}

void os_condition_wake_one(struct os_condition *condition) {
    (void)pthread_cond_signal(&condition->word);
}

void os_condition_wake_all(struct os_condition *condition) {
    (void)pthread_cond_broadcast(&condition->word);
}

static void *thread_main(void *argument) {
    struct os_thread *thread = argument;
    thread->run(thread->context);
    return NULL;
}

int os_thread_start(struct os_thread *thread, void (*run)(void *context),
                    void *context) {
    thread->run = run;
    thread->context = context;
    sigset_t every, before;
    (void)sigfillset(&every);
    (void)pthread_sigmask(SIG_SETMASK, &every, &before);
    int error = pthread_create(&thread->handle, NULL, thread_main, thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

void os_thread_join(struct os_thread *thread) {
    (void)pthread_join(thread->handle, NULL);
}

uintptr_t os_thread_id(void) { return (uintptr_t)pthread_self(); }

uint64_t os_clock_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* The only global words: how often this process is a copy. */
static _Atomic uint32_t forks;
static _Atomic int watch_error;
static pthread_once_t watched = PTHREAD_ONCE_INIT;

static void count_child(void) {
    /* relaxed: the child has one thread here */
    (void)atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void install_watch(void) {
    int error = pthread_atfork(NULL, NULL, count_child);
    /* relaxed: read after pthread_once, which orders it */
    atomic_store_explicit(&watch_error, -error, memory_order_relaxed);
}

int os_fork_watch(void) {
    (void)pthread_once(&watched, install_watch);
    /* relaxed: pthread_once orders it */
    return atomic_load_explicit(&watch_error, memory_order_relaxed);
}

uint32_t os_fork_generation(void) {
    /* relaxed: it changes only while the child has a single thread */
    return atomic_load_explicit(&forks, memory_order_relaxed);
}

#else
typedef int os_posix_is_empty_on_windows;
#endif
