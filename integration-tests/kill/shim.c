/* SPDX-License-Identifier: MIT */
/*
 * shim.c: ends the process at its nth change of a file
 *
 * Loaded before the C library, whose functions that change files or directories it
 * wraps.  It counts them from kill_arm on, by whatever thread they are called, and
 * sends SIGKILL to its own process before, in the middle of, or after the one that was
 * asked for.  Only a write has a middle: half of its bytes are in the file.
 *
 * What is read, and what goes to pipes and terminals, is not counted.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BEFORE = 1, MIDDLE = 2, AFTER = 3 };

/* The order is that of KINDS in killer.py. */
enum kind {
    WRITE = 1,
    SYNC,
    RENAME,
    UNLINK,
    MKDIR,
    RMDIR,
    TRUNCATE,
    CREATE,
    ALLOCATE,
};

/* Words that whoever arms shares with others: how many there were, the last kind. */
static _Atomic uint64_t *counted;
static uint64_t wanted;
static uint32_t moment;

void kill_arm(uint64_t *words, uint64_t operation, uint32_t where) {
    counted = (_Atomic uint64_t *)words;
    wanted = operation;
    moment = where;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Count one; tell when in it the process is to end, or 0. */
static uint32_t count(enum kind kind) {
    if (counted == NULL) return 0;
    /* relaxed: a number for each, and nothing hangs on their order */
    uint64_t number = atomic_fetch_add_explicit(counted, 1, memory_order_relaxed) + 1;
    if (number != wanted) return 0;
    /* relaxed: read when this process is gone */
    atomic_store_explicit(counted + 1, kind, memory_order_relaxed);
    if (moment == BEFORE) die();
    return moment;
}

static uint32_t count_on(enum kind kind, int file) {
    struct stat facts;
    if (counted == NULL || fstat(file, &facts) != 0) return 0;
    return S_ISREG(facts.st_mode) || S_ISDIR(facts.st_mode) ? count(kind) : 0;
}

static void end(uint32_t when) {
    if (when != 0) die();
}

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

/* Wrap `name`: count it as `kind`, call the function behind it, and end if asked to. */
#define WRAP(result, kind, counting, name, parameters, arguments)                      \
    result name parameters {                                                           \
        static result(*_Atomic real) parameters;                                       \
        result(*call) parameters = atomic_load_explicit(&real, memory_order_relaxed);  \
        if (call == NULL) {                                                            \
            *(void **)&call = next(#name);                                             \
            atomic_store_explicit(&real, call, memory_order_relaxed);                  \
        }                                                                              \
        uint32_t when = counting;                                                      \
        result given = call arguments;                                                 \
        end(when);                                                                     \
        return given;                                                                  \
    }

#define ON_FILE(kind, name, parameters, arguments)                                     \
    WRAP(int, kind, count_on(kind, file), name, parameters, arguments)
#define ON_PATH(kind, name, parameters, arguments)                                     \
    WRAP(int, kind, count(kind), name, parameters, arguments)

/* Half of a write that the process is to end in the middle of. */
static size_t part(uint32_t when, size_t size) {
    return when == MIDDLE ? size / 2 : size;
}

#define WRITING(name, last_parameters, last_arguments)                                 \
    ssize_t name(int file, const void *bytes, size_t size last_parameters) {           \
        static ssize_t (*_Atomic real)(int, const void *, size_t last_parameters);     \
        ssize_t (*call)(int, const void *, size_t last_parameters) =                   \
            atomic_load_explicit(&real, memory_order_relaxed);                         \
        if (call == NULL) {                                                            \
            *(void **)&call = next(#name);                                             \
            atomic_store_explicit(&real, call, memory_order_relaxed);                  \
        }                                                                              \
        uint32_t when = count_on(WRITE, file);                                         \
        ssize_t given = call(file, bytes, part(when, size) last_arguments);            \
        end(when);                                                                     \
        return given;                                                                  \
    }

#define COMMA ,
WRITING(write, , )
WRITING(pwrite, COMMA off_t offset, COMMA offset)
WRITING(pwrite64, COMMA off64_t offset, COMMA offset)

WRAP(ssize_t, WRITE, count_on(WRITE, file), pwritev,
     (int file, const struct iovec *parts, int number, off_t offset),
     (file, parts, number, offset))
WRAP(ssize_t, WRITE, count_on(WRITE, file), pwritev64,
     (int file, const struct iovec *parts, int number, off64_t offset),
     (file, parts, number, offset))
WRAP(ssize_t, WRITE, count_on(WRITE, file), pwritev2,
     (int file, const struct iovec *parts, int number, off_t offset, int flags),
     (file, parts, number, offset, flags))
WRAP(ssize_t, WRITE, count_on(WRITE, file), pwritev64v2,
     (int file, const struct iovec *parts, int number, off64_t offset, int flags),
     (file, parts, number, offset, flags))

ON_FILE(SYNC, fsync, (int file), (file))
ON_FILE(SYNC, fdatasync, (int file), (file))
ON_FILE(TRUNCATE, ftruncate, (int file, off_t size), (file, size))
ON_FILE(TRUNCATE, ftruncate64, (int file, off64_t size), (file, size))
ON_FILE(ALLOCATE, fallocate, (int file, int mode, off_t from, off_t size),
        (file, mode, from, size))
ON_FILE(ALLOCATE, fallocate64, (int file, int mode, off64_t from, off64_t size),
        (file, mode, from, size))

ON_PATH(RENAME, rename, (const char *from, const char *to), (from, to))
ON_PATH(RENAME, renameat, (int from_in, const char *from, int to_in, const char *to),
        (from_in, from, to_in, to))
ON_PATH(UNLINK, unlink, (const char *path), (path))
ON_PATH(UNLINK, unlinkat, (int in, const char *path, int flags), (in, path, flags))
ON_PATH(MKDIR, mkdir, (const char *path, mode_t mode), (path, mode))
ON_PATH(MKDIR, mkdirat, (int in, const char *path, mode_t mode), (in, path, mode))
ON_PATH(RMDIR, rmdir, (const char *path), (path))

/* Opening counts when it may make a file. */
static uint32_t count_open(int flags) { return flags & O_CREAT ? count(CREATE) : 0; }

#define OPENING(name, first_parameters, first_arguments)                               \
    int name(first_parameters const char *path, int flags, ...) {                      \
        static int (*_Atomic real)(first_parameters const char *, int, ...);           \
        int (*call)(first_parameters const char *, int, ...) =                         \
            atomic_load_explicit(&real, memory_order_relaxed);                         \
        if (call == NULL) {                                                            \
            *(void **)&call = next(#name);                                             \
            atomic_store_explicit(&real, call, memory_order_relaxed);                  \
        }                                                                              \
        va_list rest;                                                                  \
        va_start(rest, flags);                                                         \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;      \
        va_end(rest);                                                                  \
        uint32_t when = count_open(flags);                                             \
        int given = call(first_arguments path, flags, mode);                           \
        end(when);                                                                     \
        return given;                                                                  \
    }

OPENING(open, , )
OPENING(open64, , )
OPENING(openat, int in COMMA, in COMMA)
OPENING(openat64, int in COMMA, in COMMA)
