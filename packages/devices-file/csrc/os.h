/* SPDX-License-Identifier: MIT */
/*
 * os.h: what a device asks of the system
 *
 * Purpose
 *   Files, directories, threads and time, as few calls as the devices need, so that
 *   another system is one more file, and so that tests can put a table that fails where
 *   the true one stands.
 *
 * Model
 *   struct os is a table of functions over handles.  Each gives what the system gave:
 *   0 or bytes, or -errno, unchanged; nothing is retried here but the opening of files.
 *   Names are plain names inside a directory that is open already; only the first
 *   directory is found by a path.  Locks, conditions and threads are plain functions.
 *
 * Invariants
 *   I1  A name below an open directory is never followed through a symbolic link.
 *   I2  Handles are not inherited by programs that are started, and are never one of
 *       the descriptors 0 to 2.
 *   I3  sync_file and sync_directory return 0 only after the system said that what was
 *       written is on stable storage, as far as the system can be asked for that.
 *
 * Ordering   A leave of a lock happens before the next enter; os_condition_wait leaves
 *            and enters.
 * Progress   Everything may block but os_condition_wake and os_fork_generation.
 * Threads    any
 * Errors     -errno.  On Windows, GetLastError in the terms of errno.
 * Limits     The parts of a path are UTF-8.
 * Source     none
 * Tests      tests/test_layout.py, tests/test_faults.py; Windows and macOS are
 *            compiled only
 */
#ifndef FASTER_FILE_OS_H
#define FASTER_FILE_OS_H

#include <stdbool.h>
#include <stdint.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
struct os_lock {
    SRWLOCK word;
};
struct os_condition {
    CONDITION_VARIABLE word;
};
typedef HANDLE os_thread_handle;
#else
#include <pthread.h>
struct os_lock {
    pthread_mutex_t word;
};
struct os_condition {
    pthread_cond_t word;
};
typedef pthread_t os_thread_handle;
#endif

/* A descriptor, or a HANDLE. */
typedef intptr_t os_file;

/* No file; as a directory: names are paths from where the process stands. */
#define OS_NOWHERE ((os_file)-1)

/* How open_file opens; for reading and writing, if nothing else is said. */
enum {
    OS_CREATE = 1, /* make it, with access for its owner only; -EEXIST if it is there */
    OS_DIRECT = 2, /* past the system's cache; -EINVAL where that is not possible */
    OS_READ = 4    /* for reading alone, which a read-only file system grants */
};

struct os_measure {
    uint64_t size;
    bool plain; /* a regular file with one name */
    bool gone;  /* a file that has lost its name since it was opened */
};

struct os_alignment {
    uint32_t
        transfer;    /* of positions, lengths and memory of direct transfers; 0: none */
    uint32_t sector; /* what the medium writes as one; a power of two, at least 512 */
};

struct os {
    int (*make_directory)(const struct os *os, os_file parent, const char *name);
    int (*open_directory)(const struct os *os, os_file parent, const char *name,
                          os_file *directory);
    int (*sync_directory)(const struct os *os, os_file directory);
    /* Call `each` with every name; the order is the system's. */
    int (*list_directory)(const struct os *os, os_file directory,
                          void (*each)(void *context, const char *name), void *context);

    int (*open_file)(const struct os *os, os_file directory, const char *name,
                     uint32_t flags, os_file *file);
    int (*rename_file)(const struct os *os, os_file directory, const char *from,
                       const char *to);
    int (*remove_file)(const struct os *os, os_file directory, const char *name);
    int (*close_file)(const struct os *os, os_file file); /* directories too */

    int (*measure_file)(const struct os *os, os_file file, struct os_measure *measure);
    int (*align_file)(const struct os *os, os_file file,
                      struct os_alignment *alignment);
    /* Have room for `size` bytes without changing the file's size. */
    int (*allocate_file)(const struct os *os, os_file file, uint64_t size);
    /* Give the file a size; what was not written reads as zeros. */
    int (*resize_file)(const struct os *os, os_file file, uint64_t size);

    /* How many bytes were moved, perhaps fewer than asked, or -errno. */
    int64_t (*read_file)(const struct os *os, os_file file, void *buffer,
                         uint64_t length, uint64_t position);
    int64_t (*write_file)(const struct os *os, os_file file, const void *buffer,
                          uint64_t length, uint64_t position);
    int (*sync_file)(const struct os *os, os_file file);
};

/* The system itself. */
const struct os *os_system(void);

int os_lock_init(struct os_lock *lock);
void os_lock_destroy(struct os_lock *lock);
void os_lock_enter(struct os_lock *lock);
void os_lock_leave(struct os_lock *lock);

/* Wait as long as it takes. */
#define OS_FOREVER UINT32_MAX

int os_condition_init(struct os_condition *condition);
void os_condition_destroy(struct os_condition *condition);
/* Leave the lock, sleep until woken or about so long, and enter it again. */
void os_condition_wait(struct os_condition *condition, struct os_lock *lock,
                       uint32_t timeout_ms);
void os_condition_wake_one(struct os_condition *condition);
void os_condition_wake_all(struct os_condition *condition);

struct os_thread {
    os_thread_handle handle;
    void (*run)(void *context);
    void *context;
};

/* Run `run(context)` on a new thread that no signal is delivered to.  `thread` stays
 * where it is until it was joined. */
int os_thread_start(struct os_thread *thread, void (*run)(void *context),
                    void *context);
void os_thread_join(struct os_thread *thread);
/* A number that no other thread has which lives at the same time. */
uintptr_t os_thread_id(void);

/* Milliseconds of a clock that never goes back. */
uint64_t os_clock_ms(void);

/* Count forks from now on; later calls do nothing. */
int os_fork_watch(void);
/* A number that is another one in a child; never changes where there is no fork. */
uint32_t os_fork_generation(void);

#endif
