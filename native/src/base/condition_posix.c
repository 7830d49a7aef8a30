/* SPDX-License-Identifier: MIT */
/* condition_posix.c: condition.h by pthreads */
#ifndef _WIN32

#include <errno.h>
#include <time.h>

#include "base/condition.h"

enum { MS_PER_S = 1000, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

#if defined(__APPLE__)
int condition_init(struct condition *condition) {
    return -pthread_cond_init(&condition->word, NULL);
}

void condition_wait(struct condition *condition, struct lock *lock,
                    uint32_t timeout_ms) {
    struct timespec time = {
        .tv_sec = (time_t)(timeout_ms / MS_PER_S),
        .tv_nsec = (long)(timeout_ms % MS_PER_S) * NS_PER_MS,
    };
    (void)pthread_cond_timedwait_relative_np(&condition->word, &lock->word, &time);
}
#else
/* By the clock that never goes back: a changed date must not end or prolong a wait. */
int condition_init(struct condition *condition) {
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);
    if (error != 0) {
        return -error;
    }
    error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (error == 0) {
        error = pthread_cond_init(&condition->word, &attributes);
    }
    (void)pthread_condattr_destroy(&attributes);
    return -error;
}

void condition_wait(struct condition *condition, struct lock *lock,
                    uint32_t timeout_ms) {
    struct timespec end;
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)(timeout_ms / MS_PER_S);
    end.tv_nsec += (long)(timeout_ms % MS_PER_S) * NS_PER_MS;
    if (end.tv_nsec >= NS_PER_S) {
        end.tv_sec++;
        end.tv_nsec -= NS_PER_S;
    }
    (void)pthread_cond_timedwait(&condition->word, &lock->word, &end);
}
#endif

void condition_destroy(struct condition *condition) {
    (void)pthread_cond_destroy(&condition->word);
}

void condition_wake(struct condition *condition) {
    (void)pthread_cond_broadcast(&condition->word);
}

#else
typedef int condition_posix_is_empty_on_windows;
#endif
