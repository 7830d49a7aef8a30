/* SPDX-License-Identifier: MIT */
/*
 * thread.h: a thread, a lock, a wake-up, and giving way
 *
 * Level 0.  Includes: none.
 *
 * Purpose
 *   The core starts at most one thread per store and blocks only where api.h says so.
 *   What it needs of the system is small and stands here, so that another system is
 *   one more file.
 *
 * Model
 *   A lock is entered and left.  A wakeup counts posts: wait takes one or sleeps until
 *   there is one; post never waits, so that it may be called inside an epoch (E4).  A
 *   thread runs one function and is joined once.
 *
 * Invariants none
 * Ordering   A post happens before the wait that takes it; a leave before the next
 *            enter.
 * Progress   lock_enter and the waits block, nothing else does
 * Threads    any
 * Errors     -errno from thread_start, lock_init and wakeup_init
 * Limits     none
 * Source     none
 * Tests      tests/worker/validate_worker.c
 */
#ifndef FASTER_BASE_THREAD_H
#define FASTER_BASE_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
struct lock {
    SRWLOCK word;
};
struct wakeup {
    HANDLE semaphore;
};
typedef HANDLE thread_handle;
#else
#include <pthread.h>
struct lock {
    pthread_mutex_t word;
};
typedef pthread_t thread_handle;
#if defined(__APPLE__)
#include <dispatch/dispatch.h>
struct wakeup {
    dispatch_semaphore_t semaphore;
};
#else
#include <semaphore.h>
struct wakeup {
    sem_t semaphore;
};
#endif
#endif

struct thread {
    thread_handle handle;
    void (*run)(void *);
    void *context;
};

int lock_init(struct lock *lock);
void lock_destroy(struct lock *lock);
void lock_enter(struct lock *lock);
bool lock_try(struct lock *lock); /* false: somebody has it */
void lock_leave(struct lock *lock);

int wakeup_init(struct wakeup *wakeup);
void wakeup_destroy(struct wakeup *wakeup);
void wakeup_post(struct wakeup *wakeup);
void wakeup_wait(struct wakeup *wakeup);
/* The same for at most so long; whether a post was taken. */
bool wakeup_wait_ms(struct wakeup *wakeup, uint32_t timeout_ms);

/* Run `run(context)` on a new thread that no signal is delivered to.  `thread` stays
 * where it is until it was joined. */
int thread_start(struct thread *thread, void (*run)(void *), void *context);
void thread_join(struct thread *thread);

/* Let another thread have the core. */
void thread_yield(void);

/* Sleep about this long: only between attempts, never for order. */
void thread_pause_us(uint32_t microseconds);

/* A clock that never goes back, in milliseconds; and as fine as the system has one. */
uint64_t clock_ms(void);
uint64_t clock_ns(void);

#endif
