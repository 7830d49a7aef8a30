/* SPDX-License-Identifier: MIT */
/* thread_posix.c: thread.h by pthreads */
#ifndef _WIN32

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "base/thread.h"

int lock_init(struct lock *lock) { return -pthread_mutex_init(&lock->word, NULL); }

void lock_destroy(struct lock *lock) { (void)pthread_mutex_destroy(&lock->word); }

void lock_enter(struct lock *lock) { (void)pthread_mutex_lock(&lock->word); }

bool lock_try(struct lock *lock) { return pthread_mutex_trylock(&lock->word) == 0; }

void lock_leave(struct lock *lock) { (void)pthread_mutex_unlock(&lock->word); }

#if defined(__APPLE__)
int wakeup_init(struct wakeup *wakeup) {
    wakeup->semaphore = dispatch_semaphore_create(0);
    return wakeup->semaphore != NULL ? 0 : -ENOMEM;
}

void wakeup_destroy(struct wakeup *wakeup) { dispatch_release(wakeup->semaphore); }

void wakeup_post(struct wakeup *wakeup) {
    (void)dispatch_semaphore_signal(wakeup->semaphore);
}

void wakeup_wait(struct wakeup *wakeup) {
    (void)dispatch_semaphore_wait(wakeup->semaphore, DISPATCH_TIME_FOREVER);
}

bool wakeup_wait_ms(struct wakeup *wakeup, uint32_t timeout_ms) {
    dispatch_time_t end =
        dispatch_time(DISPATCH_TIME_NOW, (int64_t)timeout_ms * (int64_t)NSEC_PER_MSEC);
    return dispatch_semaphore_wait(wakeup->semaphore, end) == 0;
}
#else
int wakeup_init(struct wakeup *wakeup) {
    return sem_init(&wakeup->semaphore, 0, 0) == 0 ? 0 : -errno;
}

void wakeup_destroy(struct wakeup *wakeup) { (void)sem_destroy(&wakeup->semaphore); }

void wakeup_post(struct wakeup *wakeup) {
    /* EOVERFLOW means that more posts are waiting than anyone could need. */
    (void)sem_post(&wakeup->semaphore);
}

void wakeup_wait(struct wakeup *wakeup) {
    while (sem_wait(&wakeup->semaphore) != 0 && errno == EINTR) {
        /* ends with the next post */
    }
}

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 30)
enum { WAKEUP_CLOCK = CLOCK_MONOTONIC };

static int wait_until(sem_t *semaphore, const struct timespec *end) {
    return sem_clockwait(semaphore, WAKEUP_CLOCK, end);
}
#else
/* The older form counts by a clock that can be set; a step of it makes a wait longer or
 * shorter, never lose a post. */
enum { WAKEUP_CLOCK = CLOCK_REALTIME };

static int wait_until(sem_t *semaphore, const struct timespec *end) {
    return sem_timedwait(semaphore, end);
}
#endif

bool wakeup_wait_ms(struct wakeup *wakeup, uint32_t timeout_ms) {
    struct timespec end;
    int result;
    (void)clock_gettime(WAKEUP_CLOCK, &end);
    end.tv_sec += (time_t)(timeout_ms / 1000u);
    end.tv_nsec += (long)(timeout_ms % 1000u) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    do { /* ends at `end` at the latest */
        result = wait_until(&wakeup->semaphore, &end);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}
#endif

static void *thread_main(void *argument) {
    struct thread *thread = argument;
    thread->run(thread->context);
    return NULL;
}

int thread_start(struct thread *thread, void (*run)(void *), void *context) {
    sigset_t all;
    sigset_t before;
    thread->run = run;
    thread->context = context;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread->handle, NULL, thread_main, thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

void thread_join(struct thread *thread) { (void)pthread_join(thread->handle, NULL); }

void thread_yield(void) { (void)sched_yield(); }

void thread_pause_us(uint32_t microseconds) {
    struct timespec pause = {
        .tv_sec = (time_t)(microseconds / 1000000u),
        .tv_nsec = (long)(microseconds % 1000000u) * 1000,
    };
    (void)nanosleep(&pause, NULL);
}

uint64_t clock_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

uint64_t clock_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#else
typedef int thread_posix_is_empty_on_windows;
#endif
