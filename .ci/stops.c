/* SPDX-License-Identifier: MIT */
/*
 * stops.c: have threads stopped where a busy system may stop them
 *
 * A library that is loaded before all others (LD_PRELOAD) and stops a thread now and
 * then: before it begins, and around locks, wake-ups and calls for files.  A test that
 * depends on who is quicker passes for months on an idle machine, and fails here in
 * minutes.  FASTER_STOPS is the seed; each thread's stops follow from it and from the
 * thread's number, so two runs differ only by what the system itself does.
 *
 * Linux only.  The calls are those of the C library; what is stopped must not notice.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* One in so many, for up to so long. */
enum {
    START_ONE_IN = 2,
    START_US = 10000,
    LOCK_ONE_IN = 400,
    WAKE_ONE_IN = 100,
    CALL_ONE_IN = 40,
    STOP_US = 3000
};

static _Atomic uint64_t threads;
static __thread uint64_t state;

static uint64_t draw(void) {
    if (state == 0) {
        const char *seed = getenv("FASTER_STOPS");
        uint64_t first = seed == NULL ? 1 : strtoull(seed, NULL, 10);
        /* relaxed: a number of its own for each */
        uint64_t number =
            atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) + 1;
        state = (first + 1) * 0x9E3779B97F4A7C15u ^ number * 0xD1B54A32D192ED03u;
        state += state == 0;
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void stop(uint64_t one_in, uint64_t most_us) {
    if (draw() % one_in == 0) {
        struct timespec length = {.tv_nsec = (long)(draw() % most_us + 1) * 1000};
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &length, NULL);
    }
}

/* The C library's own; where one is there in two forms, that of `version`. */
static void *own(const char *name, const char *version) {
    void *found = version == NULL ? NULL : dlvsym(RTLD_NEXT, name, version);
    return found == NULL ? dlsym(RTLD_NEXT, name) : found;
}

/* --- threads ---------------------------------------------------------------------- */

typedef int thread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *),
                          void *);

struct start {
    void *(*run)(void *);
    void *argument;
};

static void *begin_late(void *context) {
    struct start start = *(struct start *)context;
    free(context);
    stop(START_ONE_IN, START_US);
    return start.run(start.argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                   void *(*run)(void *), void *argument) {
    thread_create *create = (thread_create *)own("pthread_create", NULL);
    struct start *start = malloc(sizeof *start);
    if (start == NULL) {
        return create(thread, attributes, run, argument);
    }
    *start = (struct start){run, argument};
    int error = create(thread, attributes, begin_late, start);
    if (error != 0) {
        free(start);
    }
    stop(START_ONE_IN, STOP_US);
    return error;
}

/* --- locks and calls -------------------------------------------------------------- */

/* A function of the C library, with stops before and behind it. */
#define STOPPED(result, name, version, one_in, parameters, arguments)                  \
    result name parameters {                                                           \
        static result(*_Atomic found) parameters;                                      \
        /* relaxed: whoever comes later finds the same */                              \
        result(*call) parameters =                                                     \
            atomic_load_explicit(&found, memory_order_relaxed);                        \
        if (call == NULL) {                                                            \
            call = (result(*) parameters)own(#name, version);                          \
            /* relaxed: as above */                                                    \
            atomic_store_explicit(&found, call, memory_order_relaxed);                 \
        }                                                                              \
        stop(one_in, STOP_US);                                                         \
        result given = call arguments;                                                 \
        stop(one_in, STOP_US);                                                         \
        return given;                                                                  \
    }

#define NEWER "GLIBC_2.3.2"
STOPPED(int, pthread_mutex_lock, NULL, LOCK_ONE_IN, (pthread_mutex_t * lock), (lock))
STOPPED(int, pthread_mutex_unlock, NULL, LOCK_ONE_IN, (pthread_mutex_t * lock), (lock))
STOPPED(int, pthread_cond_signal, NEWER, WAKE_ONE_IN, (pthread_cond_t * one), (one))
STOPPED(int, pthread_cond_broadcast, NEWER, WAKE_ONE_IN, (pthread_cond_t * one), (one))
STOPPED(ssize_t, pread, NULL, CALL_ONE_IN, (int fd, void *to, size_t size, off_t at),
        (fd, to, size, at))
STOPPED(ssize_t, pwrite, NULL, CALL_ONE_IN,
        (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
STOPPED(int, fdatasync, NULL, CALL_ONE_IN, (int fd), (fd))
STOPPED(int, fsync, NULL, CALL_ONE_IN, (int fd), (fd))
